/* cases.h - the functions of the table: conformance_case_1 to conformance_case_54. */
#ifndef FERRY_CONFORMANCE_CASES_H
#define FERRY_CONFORMANCE_CASES_H

struct conformance;

/* clang-format off */
#define CASE(number) void conformance_case_##number(struct conformance *c);
CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9)
CASE(10) CASE(11) CASE(12) CASE(13) CASE(14) CASE(15) CASE(16) CASE(17) CASE(18)
CASE(19) CASE(20) CASE(21) CASE(22) CASE(23) CASE(24) CASE(25) CASE(26) CASE(27)
CASE(28) CASE(29) CASE(30) CASE(31) CASE(32) CASE(33) CASE(34) CASE(35) CASE(36)
CASE(37) CASE(38) CASE(39) CASE(40) CASE(41) CASE(42) CASE(43) CASE(44) CASE(45)
CASE(46) CASE(47) CASE(48) CASE(49) CASE(50) CASE(51) CASE(52) CASE(53) CASE(54)
#undef CASE
/* clang-format on */

#endif
