import t from "tap";
import { createLog } from "../../../src/observe/telemetry/log.js";

const lines = (WEIR_LOG: string | undefined) => {
	const written: string[] = [];
	const log = createLog({
		role: "ingest",
		environment: { WEIR_LOG },
		write: (line) => written.push(line),
		now: () => new Date(0),
	});
	return { log, written };
};

t.test("a line is one JSON object with time, level, role, message and the fields given", async (t) => {
	const { log, written } = lines(undefined);
	log.warn("two\nlines", { dropped: 3, role: "root" });
	log.info("plain");
	t.same(
		written.map((line) => JSON.parse(line)),
		[
			{
				time: "1970-01-01T00:00:00.000Z",
				level: "warn",
				role: "ingest",
				message: "two\nlines",
				fields: { dropped: 3, role: "root" },
			},
			{ time: "1970-01-01T00:00:00.000Z", level: "info", role: "ingest", message: "plain" },
		],
	);
	t.notMatch(written[0], "\n");
});

t.test("WEIR_LOG sets the lowest level", async (t) => {
	for (const [level, count] of [
		[undefined, 3],
		["", 3],
		["nonsense", 3],
		["debug", 4],
		["INFO", 3],
		["warn", 2],
		["error", 1],
		["off", 0],
	] as const) {
		const { log, written } = lines(level);
		log.debug("d");
		log.info("i");
		log.warn("w");
		log.error("e");
		t.equal(written.length, count, String(level));
	}
});
