// CRC-32C (Castagnoli, RFC 3720 appendix B.4): how Google's services let a reader notice damaged bytes. It is no defence against
// anybody who means harm.
#pragma once
#include "base/text.h"

uint32_t checksum_crc32c(struct view bytes);
