/**
 * Fetches issuers' keys and publishes them to Envoy, which would read a file only once and keep a fetched set for ever.
 * Control fetches with the same pauses and limits as the sidecar. Without a valid set, or without a newer one for too
 * long, no token is trusted.
 */
import { EMPTY_KEY_SET, keySetName } from "../../compile/envoy/keySet.js";
import { type KeySource, qualifiedName, type ResourceSet } from "../../declare/resources/resource.js";
import { KEYS_FILE_MS, KEYS_URL_MS } from "../../limits/index.js";
import { within } from "../../limits/within.js";
import type { Log } from "../../observe/telemetry/log.js";
import type { Meter } from "../../observe/telemetry/meter.js";
import { type GatewayAlarm, KEYS_NOTE, NO_KEYS } from "../../operate/api/wire.js";
import { keyLoad } from "../../trust/tokens/keyLoad.js";
import { keySetFault, readKeySet } from "../../trust/tokens/keySet.js";
import { KeySetCache, type KeysOptions } from "../../trust/tokens/keySetCache.js";
import { publishedKeySet } from "../../trust/tokens/publishedKeys.js";

/**
 * How long a publication waits for an issuer's file, and the first one for its URL. A revocation must not wait for a
 * slow issuer.
 */
const KEYS_WAIT_MS = 1_000;

/**
 * How long control waits for issuers after a start before it publishes that they have no key. The sum of both waits is
 * less than PUBLICATION_LAG_MS.
 */
const KEYS_STARTUP_WAIT_MS = 3_000;

export interface IssuerKeysOptions {
	readonly log: Pick<Log, "warn" | "info">;
	readonly meter: Pick<Meter, "gauge">;
	/** Called when the keys have changed. */
	readonly changed?: () => void;
	/** For the age of keys, independent of the wall clock. */
	readonly monotonicMs?: () => number;
	readonly times?: (source: KeySource) => KeysOptions["times"];
	readonly load?: typeof keyLoad;
	/** How long `read` waits for a source. */
	readonly waitMs?: number;
}

/** The last answer of a source, as it is published and reported. */
interface Read {
	readonly text: string;
	readonly fault: string | null;
	readonly leftOut: readonly string[];
}

interface Source {
	readonly cache: KeySetCache<Read>;
	/** The current fault; null = none. Logged when it changes. */
	fault: string | null;
	/** Whether it has had usable keys: the end of their use is logged once. */
	serves: boolean;
}

function publishable(bytes: Uint8Array): Read | null {
	const set = readKeySet(bytes);
	return set === null ? null : { text: publishedKeySet(set), fault: keySetFault(set), leftOut: set.leftOut };
}

const usualTimes = ({ from }: KeySource): KeysOptions["times"] => (from === "file" ? KEYS_FILE_MS : KEYS_URL_MS);

/** Names control, because sidecars fetch their own keys. */
const noKeyAtXds = (issuer: string): string =>
	`control has no key of ${issuer} for Envoy to verify tokens with (the sidecar fetches its own)`;
const ENVOY_VERIFIES_NONE = "Envoy verifies no token of that issuer";

export class IssuerKeys {
	/** By name of the set. */
	readonly #sources = new Map<string, Source>();
	/** The issuers that Gateways name. */
	#issuers: readonly { readonly gateway: string; readonly issuer: string; readonly name: string }[] = [];
	/** Names of the sets from addresses, by Gateway. */
	#addresses: ReadonlyMap<string, readonly string[]> = new Map();

	constructor(private readonly options: IssuerKeysOptions) {}

	/**
	 * Fetches what is due. Waits a limited time for a file, and for a URL at its first fetch; `changed` reports a later
	 * answer.
	 * @returns texts by name of the set (keySetName), one for each source that the Gateways name. Never rejects.
	 */
	async read({ gateways }: ResourceSet): Promise<Readonly<Record<string, string>>> {
		const named = new Map(
			gateways.flatMap(({ spec }) => spec.tokens.map(({ keys }) => [keySetName(keys), keys] as const)),
		);
		this.#addresses = new Map(
			gateways.map(({ metadata, spec }) => [
				qualifiedName(metadata),
				spec.tokens.flatMap(({ keys }) => (keys.from === "url" ? [keySetName(keys)] : [])),
			]),
		);
		this.#issuers = gateways.flatMap(({ metadata, spec }) =>
			spec.tokens.map(({ issuer, keys }) => ({
				gateway: qualifiedName(metadata),
				issuer,
				name: keySetName(keys),
			})),
		);
		for (const name of this.#sources.keys()) if (!named.has(name)) this.#sources.delete(name);
		await Promise.all([...named].map(([name, source]) => this.#look(name, source)));
		const texts = [...named.keys()].map((name) => [name, this.#text(name)] as const);
		this.options.meter.gauge(
			"weir_xds_issuer_keys_unusable",
			"Issuer key sets that could not be fetched or parsed, so that the last good set is in use for a limited time, or that hold no usable key.",
			[...this.#sources.values()].filter(({ fault }) => fault !== null).length,
		);
		this.options.meter.gauge(
			"weir_xds_issuer_keys_left_out",
			"Keys of token issuers that are not used, because Envoy or the sidecar cannot verify with them.",
			[...this.#sources.values()].reduce((sum, { cache }) => sum + (cache.held?.leftOut.length ?? 0), 0),
		);
		return Object.fromEntries(texts);
	}

	/**
	 * Waits for issuers without any key set that are being asked.
	 * @returns resolves when they have answered, or after a limit; null = none. Never rejects
	 */
	awaited(): Promise<unknown> | null {
		const looks = [...this.#sources.values()].flatMap(({ cache }) =>
			cache.held === null && cache.fetching !== null ? [cache.fetching] : [],
		);
		return looks.length === 0 ? null : within(KEYS_STARTUP_WAIT_MS, Promise.all(looks));
	}

	/** Current faults of issuers' keys, for `weir status`; without the keys. */
	troubles(): readonly GatewayAlarm[] {
		return this.#issuers.flatMap(({ gateway, issuer, name }): readonly GatewayAlarm[] => {
			const source = this.#sources.get(name);
			if (source === undefined) return [];
			const { fault, cache } = source;
			const { held } = cache;
			if (fault === null) {
				const [first, ...more] = held?.leftOut ?? [];
				if (first === undefined) return [];
				const others = more.length === 0 ? "" : `; nor by ${more.length} more`;
				return [{ gateway, alarm: KEYS_NOTE, why: `no token of ${issuer} is verified by ${first}${others}` }];
			}
			return held === null || held.fault !== null
				? [{ gateway, alarm: NO_KEYS, why: `${noKeyAtXds(issuer)}: ${fault}` }]
				: [
						{
							gateway,
							alarm: KEYS_NOTE,
							why: `the last keys of ${issuer} are in use, newer ones are unavailable: ${fault}`,
						},
					];
		});
	}

	/** A token at the Gateway names a key that Envoy does not have: fetches its issuers' keys, unless just done. */
	unknownKey(gateway: string): void {
		for (const name of this.#addresses.get(gateway) ?? []) void this.#sources.get(name)?.cache.fetch();
	}

	#look(name: string, source: KeySource): Promise<unknown> {
		const known = this.#sources.get(name);
		if (known !== undefined && source.from === "url") return Promise.resolve(known.cache.serving());
		const looked = (known ?? this.#begin(name, source)).cache.fetch();
		return within(this.options.waitMs ?? KEYS_WAIT_MS, looked);
	}

	#begin(name: string, source: KeySource): Source {
		const { log, changed, monotonicMs = () => performance.now(), times = usualTimes, load = keyLoad } = this.options;
		let last: Read = { text: "", fault: null, leftOut: [] };
		const loaded = (read: Read): void => {
			if (read.fault !== null && read.fault !== own.fault) {
				const instead = ENVOY_VERIFIES_NONE;
				log.warn("keys of the token issuer cannot be used", { source: name, why: read.fault, instead });
			}
			if (read.fault === null && own.fault !== null)
				log.info("keys of the token issuer are usable again", { source: name });
			if (read.fault === null && read.leftOut.length > 0 && read.leftOut.join() !== last.leftOut.join()) {
				log.warn("keys of the token issuer are skipped", { source: name, why: read.leftOut.join("; ") });
			}
			own.fault = read.fault;
			own.serves = true;
			const isOther = read.text !== last.text;
			last = read;
			if (isOther) changed?.();
		};
		const failed = (why: string): void => {
			if (own.fault === why) return;
			own.fault = why;
			const instead =
				own.cache.held === null ? ENVOY_VERIFIES_NONE : "Envoy continues to verify tokens with the last keys";
			log.warn("keys of the token issuer are unavailable", { source: name, why, instead });
		};
		const options = { load: load(source), times: times(source), monotonicMs, failed };
		const isEmpty = ({ fault }: Read): boolean => fault !== null;
		const cache = new KeySetCache(options, { read: publishable, isEmpty, loaded });
		const own: Source = { cache, fault: null, serves: false };
		this.#sources.set(name, own);
		return own;
	}

	#text(name: string): string {
		const source = this.#sources.get(name);
		const held = source?.cache.held ?? null;
		if (held !== null) return held.text;
		if (source?.serves) {
			source.serves = false;
			this.options.log.warn("Envoy verifies no token of the issuer: its keys were unavailable for too long", {
				source: name,
			});
		}
		return EMPTY_KEY_SET;
	}
}
