// The answers to those who ask instead of push: how a run stands, what a target has, what was counted. For the readers list only.
#pragma once
#include "command/service.h"

// The admission of all three: the caller must be on the readers list. Without such a list nobody is.
bool asking_admit(void *context, struct server_exchange *exchange, struct server_answer *ret_answer);
// GET /runs/ID[?wait=SECONDS]: the run row; with wait (at most 300) not before the run has ended or the time is over.
void asking_run(void *context, struct server_exchange *exchange);
// GET /targets/NAME: every migration of the target with its state.
void asking_target(void *context, struct server_exchange *exchange);
// GET /metrics: OpenMetrics text.
void asking_metrics(void *context, struct server_exchange *exchange);
