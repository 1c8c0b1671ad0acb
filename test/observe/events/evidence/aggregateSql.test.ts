/** The statements over observations, in DuckDB. */
import { DuckDBInstance } from "@duckdb/node-api";
import t from "tap";
import { differences, expected, makeCase, statements } from "./aggregateCase.js";

t.test("values, moments, merged moments, and log-capital are those of plain arithmetic", async (t) => {
	const data = makeCase();
	const connection = await (await DuckDBInstance.create(":memory:")).connect();
	await connection.run(`CREATE TABLE due (ordinal BIGINT, unit UHUGEINT, arm VARCHAR, first_ms BIGINT, due_ms BIGINT);
		CREATE TABLE events (metric VARCHAR, unit UHUGEINT, experiment VARCHAR, value DOUBLE, event_ms BIGINT, received_ms BIGINT)`);
	const due = await connection.createAppender("due");
	for (const row of data.due) {
		due.appendBigInt(BigInt(row.ordinal));
		due.appendUHugeInt(row.unit);
		due.appendVarchar(row.arm);
		due.appendBigInt(BigInt(row.first_ms));
		due.appendBigInt(BigInt(row.due_ms));
		due.endRow();
	}
	due.closeSync();
	const events = await connection.createAppender("events");
	for (const row of data.events) {
		events.appendVarchar(row.metric);
		events.appendUHugeInt(row.unit);
		if (row.experiment === null) events.appendNull();
		else events.appendVarchar(row.experiment);
		events.appendDouble(row.value);
		events.appendBigInt(BigInt(row.event_ms));
		events.appendBigInt(BigInt(row.received_ms));
		events.endRow();
	}
	events.closeSync();
	const wanted = expected(data);
	for (const [name, sql] of Object.entries(statements())) {
		const found = (await connection.runAndReadAll(sql)).getRowObjects();
		t.ok(found.length > 10, name);
		t.same(differences(found, wanted[name] ?? []).slice(0, 5), [], name);
	}
	connection.closeSync();
});
