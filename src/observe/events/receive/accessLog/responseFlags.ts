/** Response flags of access-log entries, and how a request ended by them and by the response code details. */
import type { AccessLogEntry } from "./accessLogEntry.js";

/** Envoy's short names of response flags (%RESPONSE_FLAGS%), by field number of envoy.data.accesslog.v3.ResponseFlags. */
const FLAGS: Readonly<Record<number, string>> = {
	1: "LH",
	2: "UH",
	3: "UT",
	4: "LR",
	5: "UR",
	6: "UF",
	7: "UC",
	8: "UO",
	9: "NR",
	10: "DI",
	11: "FI",
	12: "RL",
	14: "RLSE",
	15: "DC",
	16: "URX",
	17: "SI",
	18: "IH",
	19: "DPE",
	20: "UMSDR",
	21: "RFCF",
	22: "NFCF",
	23: "DT",
	24: "UPE",
	25: "NC",
	26: "OM",
	27: "DF",
	28: "DR",
};

/** Short names of the set flags. */
export const flagNames = ({ flags }: Pick<AccessLogEntry, "flags">): readonly string[] =>
	Object.entries(FLAGS).flatMap(([field, name]) => ((flags & (1 << Number(field))) === 0 ? [] : [name]));

const flag = (...fields: readonly number[]): number => fields.reduce((bits, field) => bits | (1 << field), 0);

/** UH, UT, LR, UR, UF, UC, UO, NR, URX, UMSDR, DT, UPE, NC, DF: the Variant gave no answer. */
export const UNHEALTHY_FLAGS = flag(2, 3, 4, 5, 6, 7, 8, 9, 16, 20, 23, 24, 25, 27);

/**
 * The above and DC, SI, DR (the client left, or the stream was idle too long): "UF, UH, UT, DC count against the arm".
 * Excluded: effects of others (fault injection, rate limits, authorization, bad requests).
 */
export const FAILED_FLAGS = UNHEALTHY_FLAGS | flag(15, 17, 28);

/** UH, UT, UR, UF, UC, UO, URX, UMSDR, UPE, NC, DF: flags that only the router sets. */
const ROUTER_FLAGS = flag(2, 3, 5, 6, 7, 8, 16, 20, 24, 25, 27);

/** DC and DR: the client closed the connection, or reset the stream. */
export const LEFT_FLAGS = flag(15, 28);

/** And DPE: a protocol error by the client, which ends its connection, or reported by it. */
export const BROKEN_OFF_FLAGS = LEFT_FLAGS | flag(19);

/** RL: refused by local_ratelimit. */
export const LIMITED_FLAG = flag(12);

/** OM: Envoy was overloaded. */
export const OVERLOAD_FLAG = flag(26);

const VIA_UPSTREAM = "via_upstream";

/** Whether Envoy itself answered. */
export const answeredByEnvoy = ({ codeDetails }: AccessLogEntry): boolean =>
	codeDetails !== "" && codeDetails !== VIA_UPSTREAM;

/**
 * Whether an ended request was sent upstream, or failed because no server was available. Envoy sets the cluster once its
 * router has a connection, after all filters that refuse. If the client left while waiting for one, only the attempt shows it.
 */
export const reachedRouter = ({ cluster, flags, codeDetails, sentOn }: AccessLogEntry): boolean =>
	cluster !== "" || (flags & ROUTER_FLAGS) !== 0 || codeDetails === VIA_UPSTREAM || sentOn;
