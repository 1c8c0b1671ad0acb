/**
 * Tests of the parity suite: each test damages the compiled configuration in one way and shows
 * that units then get another arm, down to one point in 10⁶.
 */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { UNIT_REGEX } from "../../src/compile/envoy/matcher.js";
import { edgeUnits } from "./edgeUnits.js";
import { bootstrapOf, launchEnvoy } from "./harness.js";
import { paritySuite, runParity } from "./parity.js";
import { AWKWARD_UNITS, randomUnits } from "./units.js";
import { startVariants } from "./variantServer.js";

const variants = await startVariants(t, 5);
const suite = paritySuite(variants.map(({ port }) => port));
const cases = suite.cases.filter(({ name }) => name === "third");
const [table] = suite.plan.table.services.find(({ name }) => name === "third")?.experiments ?? [];
if (table === undefined) throw new Error("no table");
const units = [...AWKWARD_UNITS, ...randomUnits(300, 5), ...edgeUnits(table)];

type Json = { [key: string]: Json } | Json[] | string | number | boolean | null;

/** Applies the change to every object in the virtual host of the case. */
function damage(value: Json, change: (object: { [key: string]: Json }) => void): Json {
	if (Array.isArray(value))
		value.forEach((item) => {
			damage(item, change);
		});
	else if (typeof value === "object" && value !== null) {
		change(value);
		for (const inner of Object.values(value)) damage(inner, change);
	}
	return value;
}

async function mismatches(change: (object: { [key: string]: Json }) => void): Promise<readonly string[]> {
	const envoy = await launchEnvoy((adminSocket) => {
		const bootstrap: Json = JSON.parse(JSON.stringify(bootstrapOf(suite.plan)(adminSocket)));
		damage(bootstrap, (object) => {
			if (object.name === "third" && object.domains !== undefined) damage(object, change);
		});
		return bootstrap as object;
	});
	try {
		return (await runParity(envoy.port(), suite, cases, units)).mismatches;
	} finally {
		await envoy.stop();
	}
}

t.test("the undamaged configuration has no difference, also on the edges", async (t) => {
	t.equal(units.length - AWKWARD_UNITS.length - 300, 10, "all edges have a unit");
	t.same(await mismatches(() => {}), []);
});

const damages: Record<string, (object: { [key: string]: Json }) => void> = {
	"a guard that takes anything": (object) => {
		if (object.regex === UNIT_REGEX) object.regex = "^.+$";
	},
	"a guard that refuses the tilde": (object) => {
		if (object.regex === UNIT_REGEX) object.regex = "^[!-+\\--}]+$";
	},
	"another salt": (object) => {
		if (object.substitution === "third:\\1") object.substitution = "thirds:\\1";
	},
	"another layer seed": (object) => {
		if (typeof object.seed === "string") object.seed = String(BigInt(object.seed) ^ 1n);
	},
	"a slot one point lower": (object) => {
		if (typeof object.threshold === "number") object.threshold--;
	},
	"a region one point larger": (object) => {
		const clusters = object.clusters as { weight: number }[] | undefined;
		const [first, second] = clusters?.filter(({ weight }) => weight > 0) ?? [];
		if (first === undefined || second === undefined) return;
		first.weight++;
		second.weight--;
	},
	"no hash policy": (object) => {
		if (object.use_hash_policy === true) object.use_hash_policy = false;
	},
};

for (const [name, change] of Object.entries(damages)) {
	t.test(`the parity suite finds the damage: ${name}`, async (t) => {
		const found = await mismatches(change);
		t.ok(found.length > 0, `${found.length} of ${units.length} units differ`);
	});
}

t.test("compiling twice gives the same configuration", async (t) => {
	const again = paritySuite(variants.map(({ port }) => port));
	t.same(again.plan.envoy, suite.plan.envoy);
	t.not(
		compile({ ...emptySet }, { experiments: {}, services: {} }, { collectors: NO_COLLECTORS }).version,
		again.plan.version,
	);
});

const emptySet = {
	gateways: [],
	services: [],
	layers: [],
	experiments: [],
	metrics: [],
	accessPolicies: [],
	dataClasses: [],
	roleBindings: [],
	approvalPolicies: [],
	referenceGrants: [],
};
