/**
 * HTTP filters configured by ECDS (envoy.config.core.v3.ExtensionConfigSource). An open connection keeps its listener, and so
 * any filter configuration inside it. A discovered configuration applies to the next request on every connection and drains
 * none.
 */
import type { EnvoyResource } from "../plan/compiledPlan.js";

export interface Extension {
	/** Name of the filter, in the listener and in its routes. */
	readonly name: string;
	readonly config: EnvoyResource;
	/** Used if Envoy rejects the first configuration; of the same type. Otherwise the filter would be missing (500). */
	readonly fallback: EnvoyResource;
}

/** The filter in the listener, off unless a virtual host turns it on. */
export const discovered = ({ name, fallback }: Pick<Extension, "name" | "fallback">): object => ({
	name,
	disabled: true,
	config_discovery: {
		// No timeout: after one Envoy would use the default configuration instead of the previous listener.
		config_source: { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" },
		default_config: fallback,
		type_urls: [fallback["@type"]],
	},
});

/** The filter's configuration as an xDS resource. */
export const extensionResource = ({ name, config }: Pick<Extension, "name" | "config">): EnvoyResource => ({
	"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
	name,
	typed_config: config,
});
