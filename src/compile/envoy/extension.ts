/**
 * HTTP filters whose configuration comes apart from the listener, by ECDS (envoy.config.core.v3.ExtensionConfigSource): a
 * connection that is open keeps its listener for as long as it lives, and with it everything that stands in it. What is
 * discovered holds from the next request on, on every connection, and drains none.
 */
import type { EnvoyResource } from "../table/plan.js";

export interface Extension {
	/** Of the filter, in the listener and in its routes. */
	readonly name: string;
	readonly config: EnvoyResource;
	/** Where Envoy refuses the first that comes; of the same type. Without one the filter would be missing (500). */
	readonly instead: EnvoyResource;
}

/** The filter in the listener, off unless a virtual host asks for it. */
export const discovered = ({ name, instead }: Pick<Extension, "name" | "instead">): object => ({
	name,
	disabled: true,
	config_discovery: {
		// Without an end: after one Envoy would serve by what stands instead, and not with the listener before.
		config_source: { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" },
		default_config: instead,
		type_urls: [instead["@type"]],
	},
});

/** Its configuration. */
export const extensionResource = ({ name, config }: Pick<Extension, "name" | "config">): EnvoyResource => ({
	"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
	name,
	typed_config: config,
});
