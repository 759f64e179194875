// The version of this binary, as `git describe` said when it was built, or what make was given as VERSION.
#pragma once
extern const char version_text[];
