// Subscription filters: https://cloud.google.com/pubsub/docs/subscription-message-filter. Attributes only, at most 256
// bytes.
//   attributes:KEY    attributes.KEY = "V"    attributes.KEY != "V"    hasPrefix(attributes.KEY, "V")
//   NOT, AND, OR, parentheses
#pragma once
#include "message.h"

bool filter_valid(const char *filter); // the empty filter lets everything through
bool filter_matches(const char *filter, const struct message *message);
