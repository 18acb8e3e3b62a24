/* cmd_init.c: creates the repository. */
#include <stdio.h>

#include "cli/cli.h"

static int run(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    if (context_create_repository(&cli->run, cli->repository, &err) != ORCH_OK) {
        return cli_fail(cli, &err);
    }
    const char *url = storage_url(cli->run.storage);
    bool encrypted = repo_encrypted(cli->run.repo);
    if (cli->json) {
        cli_print_json(cli, json_pack("{s:s, s:s, s:b}", "repository", repo_id(cli->run.repo),
                                      "url", url, "encrypted", (int)encrypted));
        return EXIT_DONE;
    }
    (void)printf("Repository %s made in %s\n", repo_id(cli->run.repo), url);
    if (encrypted) {
        (void)printf("Keep its passphrase or key file somewhere else too: without it, nothing can "
                     "be recovered.\n");
    } else {
        (void)fprintf(stderr,
                      "WARNING: encryption = \"none\": whoever can read %s can read all "
                      "that is backed up.\n",
                      url);
    }
    return EXIT_DONE;
}

const struct cli_command cmd_init = {
    .name = "init",
    .arguments = "",
    .summary = "make the repository that the configuration names",
    .details = "The passphrase or key file is taken from the configuration "
               "(repositories.NAME.passphrase_file, _env,\n_command or key_file).",
    .needs = CLI_NEEDS_CONFIG,
    .run = run,
};
