// Only this file is compiled again when the version changes.
#include "base/version.h"

const char version_text[] = PAWL_VERSION;
