/** Where an Envoy that `weir envoy` runs says which process it is: several may have one node's name, and one SPIFFE id. */

/** In its node's metadata. */
export const INSTANCE_KEY = "weir_instance";
