/* What every cmocka program includes, in the order cmocka needs. */
#ifndef NATIVE_TEST_H
#define NATIVE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "native.h"

#endif
