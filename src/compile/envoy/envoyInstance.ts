/** Key under which an Envoy of `weir envoy` reports its process. Several processes may share a node name and a SPIFFE id. */

/** In the node's metadata. */
export const INSTANCE_KEY = "weir_instance";
