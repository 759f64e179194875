// Percent-encoding (RFC 3986 section 2.1): for one segment of a path, one value of a query, one value of a form.
#pragma once
#include "base/text.h"

// Everything but the unreserved characters (letters, digits, - . _ ~) is encoded.
void url_append(struct text *out, struct view value);
