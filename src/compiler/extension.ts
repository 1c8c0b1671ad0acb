/**
 * HTTP filters whose configuration comes apart from the listener, by ECDS (envoy.config.core.v3.ExtensionConfigSource): a
 * connection that is open keeps its listener for as long as it lives, and with it everything that stands in it. What is
 * discovered holds from the next request on, on every connection, and drains none.
 */
import type { EnvoyResource } from "./plan.js";

/** The filter in the listener, off unless a virtual host asks for it. */
export const discovered = ({ name, typed_config }: EnvoyResource): object => ({
	name,
	disabled: true,
	config_discovery: {
		// Without an end: after one Envoy would serve with the filter missing (500) instead of the listener before.
		config_source: { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" },
		type_urls: [(typed_config as EnvoyResource)["@type"]],
	},
});

/** Its configuration. */
export const extension = (name: string, typed_config: EnvoyResource): EnvoyResource => ({
	"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
	name,
	typed_config,
});
