/**
 * What a parity run asserts, for the fast and for the long tier.
 */
import { type ClientHttp2Session, connect } from "node:http2";
import type { Test } from "tap";
import { expected } from "./oracle.js";
import { headerOf, type ParityCase, type ParitySuite, predictByOracle, requestOf, runParity } from "./parity.js";
import { alone, headerValues } from "./pipeline.js";
import { AWKWARD_UNITS, HOSTILE_UNITS, randomUnits, type UnitCase } from "./units.js";
import type { VariantServer } from "./variantServer.js";

export interface ParityExtent {
	/** Random units for the Services with 2, 3 and 5 arms. */
	readonly random: number;
	/** Random units for every Service. */
	readonly each: number;
}

export async function checkParity(
	t: Test,
	port: number,
	suite: ParitySuite,
	variants: readonly VariantServer[],
	extent: ParityExtent,
): Promise<void> {
	const byName = (name: string) => {
		const found = suite.cases.find((candidate) => candidate.name === name);
		if (found === undefined) throw new Error(`no case ${name}`);
		return found;
	};
	const started = performance.now();
	let requests = 0;

	const awkward = await runParity(port, suite, suite.cases, AWKWARD_UNITS);
	t.same(awkward.mismatches, [], "awkward units get the oracle's arms");
	t.ok(awkward.withoutUnit > 15 * suite.cases.length, "many of the awkward ones are no unit");

	const each = await runParity(port, suite, suite.cases, randomUnits(extent.each, 1));
	t.same(each.mismatches, [], "random units on every Service get the oracle's arms");

	const main = ["two-arms", "three-arms", "five-arms"].map(byName);
	const random = await runParity(port, suite, main, randomUnits(extent.random, 2));
	t.same(random.mismatches, [], `${extent.random} random units over 2, 3 and 5 arms get the oracle's arms`);
	requests += awkward.requests + each.requests + random.requests;

	const seen = new Map([...awkward.arms, ...each.arms, ...random.arms]);
	for (const { experiments } of suite.cases) {
		for (const { experiment, status } of experiments) {
			if (status.phase === "Aborted") continue;
			const name = experiment.metadata.namespace === "default" ? "" : `${experiment.metadata.namespace}/`;
			for (const arm of experiment.spec.arms) {
				// The rare arm of one in 10⁶ points and closed or weightless arms cannot be seen.
				if (arm.weight < 1 || experiment.spec.arms.some((other) => other.weight > 1_000 * arm.weight)) continue;
				if (status.closedArms.includes(arm.name)) continue;
				t.ok(
					seen.has(`${name}${experiment.metadata.name}/${arm.name}`),
					`${experiment.metadata.name}/${arm.name} occurs`,
				);
			}
		}
	}

	await t.test("values that Envoy may refuse never get an arm", async (t) => {
		const of = byName("two-arms");
		for (const unit of HOSTILE_UNITS) {
			const answer = await alone(port, requestOf(of, unit)).catch(() => null);
			const arms = answer === null ? [] : headerValues(answer, "x-weir-arm");
			const refused = answer === null || answer.status === 400;
			t.ok(refused || arms.length === 0, `${unit.name}: ${answer?.status ?? "closed"} ${arms.join(" ")}`);
		}
	});

	await t.test("the upstream gets the unit unchanged and its arm, never the client's own arm header", async (t) => {
		const of = byName("two-arms");
		const own = of.experiments[0];
		if (own === undefined) throw new Error("no experiment");
		const value = Buffer.from("alice");
		const want = expected(value, own.experiment, of.layer, own.status);
		const request = requestOf(of, {
			name: "spoofed arm",
			values: [Buffer.from("alice\r\nx-weir-arm: two-arms/arm9\r\nX-Weir-Arm: other/arm9")],
		});
		const answer = await alone(port, request);
		const upstream = variants.find(({ name }) => name === want.variant);
		const head = upstream?.lastHead() ?? "";
		t.match(head, /^x-user-id: alice$/m, "unit as sent");
		t.same(head.match(/^x-weir-arm: .*$/gim), [`x-weir-arm: two-arms/${want.arm}`], "one arm header, Envoy's own");
		t.same(headerValues(answer, "x-weir-arm"), [`two-arms/${want.arm}`], "and the client sees the same");
	});

	await t.test("a bare CR is dropped by Envoy's HTTP parser: upstream and assignment see the same unit", async (t) => {
		const of = byName("two-arms");
		const own = of.experiments[0];
		if (own === undefined) throw new Error("no experiment");
		const want = expected(Buffer.from("alice"), own.experiment, of.layer, own.status);
		const answer = await alone(port, requestOf(of, { name: "bare CR", values: [Buffer.from("ali\rce")] }));
		t.same(headerValues(answer, "x-weir-arm"), [`two-arms/${want.arm}`]);
		t.match(variants.find(({ name }) => name === want.variant)?.lastHead() ?? "", /^x-user-id: alice$/m);
	});

	// RFC 9113 section 8.2.1 has no blanks around a value; Envoy takes them and does not trim, so the guard refuses.
	await t.test("over HTTP/2 units get the same arms, and a unit with outer blanks is invalid", async (t) => {
		const of = byName("shared-layer");
		const units = [...AWKWARD_UNITS.filter(({ values }) => (values[0]?.length ?? 0) < 16_000), ...randomUnits(200, 3)];
		const session = connect(`http://127.0.0.1:${port}`);
		t.teardown(() => session.close());
		const mismatches: string[] = [];
		let refused = 0;
		for (const unit of units) {
			const got = await overHttp2(session, of, unit);
			const blank = unit.values.some((value) => /^[ \t]|[ \t]$/.test(value.toString("latin1")));
			const want = predictByOracle(of, blank ? { name: "none", values: [] } : unit);
			if (got === null) refused++;
			else if (got !== JSON.stringify(want)) mismatches.push(`${unit.name}: ${got}`);
		}
		t.same(mismatches, []);
		t.ok(refused < 10, `${refused} refused as malformed`);
	});

	const seconds = (performance.now() - started) / 1000;
	t.comment(`${requests} requests in ${seconds.toFixed(1)} s`);
}

/** The observed prediction as JSON; null where Envoy or Node refused the request as malformed. */
function overHttp2(session: ClientHttp2Session, of: ParityCase, unit: UnitCase): Promise<string | null> {
	const header = headerOf(of.experiments[0]?.experiment);
	return new Promise((resolve) => {
		let answer: string | null = null;
		const stream = session.request({
			":authority": of.service.spec.hosts[0] ?? "",
			":path": "/",
			...(unit.values.length === 0 ? {} : { [header]: unit.values.map((value) => value.toString("latin1")) }),
		});
		stream.on("response", (headers) => {
			if (headers[":status"] !== 200) return;
			const arms = String(headers["x-weir-arm"] ?? "");
			answer = JSON.stringify({
				arms: arms === "" ? [] : arms.split(", ").sort(),
				variant: headers["x-variant"],
			});
		});
		stream.on("error", () => {});
		stream.on("close", () => resolve(answer));
		stream.resume();
		stream.end();
	});
}
