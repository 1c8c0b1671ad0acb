/** Alarms of control's disk and identities, and of what ingest receives. */
import type { Meter } from "../../observe/telemetry/meter.js";
import type { GatewayAlarm } from "../../operate/api/wire.js";
import type { StateDatabase } from "../../operate/state/store/database.js";
import type { Places } from "../stack/places.js";
import { calloutAlarms } from "./calloutAlarms.js";
import { unrenewedIdentities } from "./identityAlarms.js";
import { readMetrics } from "./metrics.js";
import { droppedDecisions, unwrittenEvents, unwrittenState } from "./unwrittenAlarms.js";

/** Timeout of a request for a process's SVID status: less than READY_NOTES_MS. */
const IDENTITY_STATUS_MS = 200;

type Sockets = Pick<Places, "ingestSocket" | "sidecarMetricsSocket">;

/**
 * Never rejects.
 * @param tooLate ends the wait for the metrics of ingest and the sidecar; their alarms are then missing
 */
export async function controlAlarms(
	at: Sockets,
	meter: Pick<Meter, "json">,
	database: Pick<StateDatabase, "unwritten">,
	tooLate?: Promise<null>,
): Promise<readonly GatewayAlarm[]> {
	const inTime = <T>(asked: Promise<T>) => (tooLate === undefined ? asked : Promise.race([asked, tooLate]));
	const [ingested, own, sidecar] = await Promise.all([
		inTime(readMetrics(at.ingestSocket)),
		meter.json(),
		inTime(readMetrics(at.sidecarMetricsSocket, IDENTITY_STATUS_MS)),
	]);
	const identities = unrenewedIdentities([ingested, own, sidecar]);
	const ofIngest = [unwrittenEvents(ingested), droppedDecisions(ingested), calloutAlarms(ingested, Date.now())];
	return [identities, unwrittenState(database), ...ofIngest].flat();
}
