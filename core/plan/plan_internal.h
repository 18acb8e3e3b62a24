/* plan_internal.h: what plan.c, plan_order.c and the fuzz target share. */
#ifndef CORE_PLAN_PLAN_INTERNAL_H
#define CORE_PLAN_PLAN_INTERNAL_H

#include "plan/document.h"
#include "plan/plan.h"

/* A plan from a document that was parsed. */
int32_t plan_from_document(const struct config *config, const struct document *document,
                           struct plan **out, struct orch_error *err) ORCH_CHECKED;

/* The order of restore steps against the graph: ORCH_E_CONFIG names both steps. */
int32_t plan_order_check(const struct config *config, const struct plan *plan,
                         struct orch_error *err) ORCH_CHECKED;

#endif
