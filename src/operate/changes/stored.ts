/** What is kept of declared resources. */
import type { Resource } from "../../declare/resources/resource.js";

export interface StoredResource {
	readonly resource: Resource;
	/** The YAML document it came from, as written. */
	readonly source: string;
}

/** First users of names and salts; entries are never removed. */
export interface Used {
	/** Qualified experiment name. */
	readonly experiment: string;
	readonly sinceMs: number;
}
