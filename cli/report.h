/*
 * report.h - the result of a measurement, on standard output.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "load.h"

void report_text(const struct load_spec *spec, const struct load_result *result);
void report_json(const struct load_spec *spec, const struct load_result *result);

#endif
