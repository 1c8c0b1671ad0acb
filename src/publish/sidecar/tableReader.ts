/**
 * Parses and validates the text of a table. An invalid Service is closed alone, so that an error in one namespace does not
 * block the rules of all. Other errors, or a table without a valid Service (from another version of Weir), reject the table.
 */
import { contentHash } from "../../compile/assignment/hash.js";
import type { PlanTable, ServiceTable } from "../../compile/plan/compiledPlan.js";
import { WeirError } from "../../error.js";
import { TABLE_BYTES_MAX, TABLE_ERROR_CHARS_MAX } from "../../limits/index.js";
import { type Check, namedList, object, plain, ShapeError, shown } from "../../trust/clients/jsonShape.js";
import { closableService, gateways, service } from "./tableShape.js";
import type { ClosedService, VersionedTable } from "./tables.js";

const HINT = "control and sidecar must be of one version of Weir";

/**
 * @param json text of a PlanTable, exactly the text of its version hash
 * @throws WeirError with path and reason: `resource-exhausted` if the table is too large, else `invalid-argument`
 */
export function readTable(version: string, json: string): VersionedTable {
	// Characters instead of bytes, because counting bytes takes a second pass.
	if (json.length > TABLE_BYTES_MAX) {
		const message = `the table has ${json.length} characters, more than ${TABLE_BYTES_MAX}`;
		throw new WeirError(
			"resource-exhausted",
			message,
			"name fewer principals, or split the Services over more Gateways",
		);
	}
	let value: unknown;
	try {
		value = JSON.parse(json);
	} catch (error) {
		// The parser's message quotes the text.
		throw new WeirError("invalid-argument", "the table is not JSON", "", { cause: error });
	}
	const hash = contentHash(json);
	if (hash !== version) {
		const message = `the table's content has the hash ${hash}, but its version is ${shown(version)}`;
		throw new WeirError("invalid-argument", message, "it was cut off or changed on its way");
	}
	try {
		const { table, closed } = tableOf(value);
		texts.set(table, json);
		return closed.length === 0 ? { version, table } : { version, table, closed };
	} catch (error) {
		if (!(error instanceof ShapeError)) throw error;
		throw new WeirError("invalid-argument", lineOf(error), HINT);
	}
}

const texts = new WeakMap<PlanTable, string>();

/** The JSON text of the table, with closed Services if it was parsed from text. */
export function tableJson(table: PlanTable): string {
	return texts.get(table) ?? JSON.stringify(table);
}

/** @throws ShapeError */
function tableOf(value: unknown): Required<Pick<VersionedTable, "table" | "closed">> {
	const services: ServiceTable[] = [];
	const closed: ClosedService[] = [];
	let first: ShapeError | null = null;
	const readable: Check<{ readonly name: string }> = (one) => {
		try {
			const read = service(one);
			services.push(read);
			return read;
		} catch (error) {
			const known = error instanceof ShapeError ? closable(one) : null;
			if (known === null) throw error;
			const name = `Service ${plain(known.name)}`;
			const fault = new ShapeError((error as ShapeError).message, [name, ...(error as ShapeError).path]);
			first ??= fault;
			closed.push({ ...known, why: lineOf(fault).slice(0, TABLE_ERROR_CHARS_MAX) });
			return known;
		}
	};
	const whole = object<PlanTable>({ gateways, services: namedList(readable, "Service") as Check<ServiceTable[]> });
	const table = whole(value);
	if (first !== null && services.length === 0) throw first;
	return { table: closed.length === 0 ? table : { ...table, services }, closed };
}

/** null = the Service cannot even be closed. */
function closable(one: unknown): Omit<ClosedService, "why"> | null {
	try {
		return closableService(one);
	} catch {
		return null;
	}
}

const lineOf = ({ path, message }: ShapeError): string =>
	`${path.length === 0 ? "the table" : path.join(", ")}: ${message}`;
