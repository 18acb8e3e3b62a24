// abi.cpp: the SDK's headers as C++, and a plugin's descriptor written in it. Compiling it is the
// test.
#include <orchestrate/error.h>
#include <orchestrate/plugin.h>
#include <orchestrate/support.h>

#include "layout.h"

namespace
{

int32_t open_it(const struct orch_host *host, const struct orch_options *options, void **instance,
                struct orch_error *err)
{
    (void)host;
    *instance = nullptr;
    return orch_option_string(options, "path", nullptr) == nullptr
               ? orch_fail(err, ORCH_E_CONFIG, "no path")
               : ORCH_OK;
}

} // namespace

int main()
{
    orch_error err = ORCH_ERROR_INIT;
    orch_options options = {};
    struct orch_plugin plugin = {}; // there is a variable of that name too
    void *instance = nullptr;
    plugin.magic = ORCH_PLUGIN_MAGIC;
    plugin.open = open_it;
    return plugin.open(nullptr, &options, &instance, &err) == ORCH_E_CONFIG && err.code != 0 ? 0
                                                                                             : 1;
}
