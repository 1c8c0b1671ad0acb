/** Limits of spans and metrics. */

