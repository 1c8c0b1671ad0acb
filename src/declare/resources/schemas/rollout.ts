/** The rollout of an Experiment: steps, risk, test of the goal, reaction to harm, and gates. */
import { z } from "zod";
import { GATE_TIMEOUT_MS_MAX, GATES_MAX, PPM } from "../../../limits/index.js";
import { bareHost, isLoopbackHost, isUrl } from "../address.js";
import { duration, percentage, refuse } from "../fields/scalar.js";
import { fields, list, oneOf, whole, withHint } from "../fields/strict.js";
import { durationText } from "../fields/units.js";
import { machineAddress } from "../machineAddress.js";
import type { Bandit, Holdback, InferenceDesign } from "../resource.js";

/** Smallest alpha. */
const ALPHA_MIN = 1e-6;

/** Planned looks of a group-sequential design: more gain little over continuous monitoring. */
const LOOKS_MAX = 50;

const ALPHA_HINT = "write a number from 0.000001 to 0.5, such as 0.05";
const STEPS_HINT = "write a list of percentages that rise from above 0%, such as [2%, 10%, 50%, 100%]";

const steps = list(percentage, STEPS_HINT)
	.min(1, { error: STEPS_HINT })
	.max(100, { error: "write at most 100 steps" })
	.superRefine((items, context) => {
		for (const [index, ppm] of items.entries()) {
			const before = items[index - 1] ?? 0;
			// Reported already.
			if (ppm > before || !Number.isInteger(ppm) || !Number.isInteger(before)) continue;
			const what = index === 0 ? "is 0%" : `is not above the step before it (${before / (PPM / 100)}%)`;
			context.addIssue({ code: "custom", path: [index], message: withHint(what, STEPS_HINT) });
		}
	})
	.meta({ description: "Allocation of each step, strictly increasing, above 0%." });

const WEBHOOK_HINT =
	"write an https URL without user, password and fragment, such as https://ci.example.com/gate (http only for this machine)";

const OWN_ADDRESS_HINT = "name a server that answers for the gate: that address is control's machine's own";

/** A gate decides about traffic: on another machine it must authenticate by TLS. */
const webhook = z
	.string({ error: WEBHOOK_HINT })
	.refine((value) => isUrl(value, ["https:"]) || (isUrl(value, ["http:"]) && isLoopbackHost(new URL(value).hostname)), {
		error: WEBHOOK_HINT,
		abort: true,
	})
	.superRefine((value, context) => {
		const { hostname } = new URL(value);
		const own = machineAddress(bareHost(hostname));
		if (own === null) return;
		const message = withHint(`leads to ${hostname}, ${own}`, OWN_ADDRESS_HINT);
		context.addIssue({ code: "custom", message });
	});

const GATE_TIMEOUT_MAX = durationText(GATE_TIMEOUT_MS_MAX);

const GATE_TIMEOUT_HINT = `write at most ${GATE_TIMEOUT_MAX}: a slower server refuses until it knows, and is asked again`;

const gate = fields({
	at: oneOf("before-step", "before-promotion", "after-rollback").meta({
		description:
			"When the webhook is called. before-step, before-promotion: the rollout continues only after a 2xx response; a promotion calls both, because it begins with a step. after-rollback: a notification, sent at least once.",
	}),
	url: webhook,
	timeout: duration(1, { ms: GATE_TIMEOUT_MS_MAX, hint: GATE_TIMEOUT_HINT })
		.prefault("10s")
		.meta({ description: `Timeout of the call, at most ${GATE_TIMEOUT_MAX}; default 10s.` }),
}).transform(({ timeout, ...rest }) => ({ ...rest, timeoutMs: timeout }));

const units = whole(2, 1_000_000_000)
	.optional()
	.meta({ description: "Sample size: matured units of all arms with a value of the goal metric at the last look." });

const inference = fields({
	design: oneOf("sequential", "group-sequential", "fixed-horizon").meta({
		description:
			"sequential: valid at every look. group-sequential: a fixed number of planned looks. fixed-horizon: one look, at `units`.",
	}),
	units,
	looks: whole(2, LOOKS_MAX)
		.optional()
		.meta({ description: "Number of planned looks, at equal intervals of units; default 5." }),
	spending: oneOf("obrien-fleming", "pocock")
		.optional()
		.meta({ description: "Alpha spending function over the looks; default obrien-fleming." }),
})
	.transform((value, context): InferenceDesign => {
		const { design, units, looks, spending } = value;
		const without = (field: "units" | "looks" | "spending"): void => {
			if (value[field] === undefined) return;
			const message = withHint(`is given for design ${design}`, "remove it");
			context.issues.push({ code: "custom", message, path: [field], input: value });
		};
		if (design !== "group-sequential") {
			without("looks");
			without("spending");
		}
		if (design === "sequential") {
			without("units");
			return { design };
		}
		if (units === undefined) return refuse(context, "add units: 20000, see weir plan", `has no units for ${design}`);
		if (design === "fixed-horizon") return { design, units };
		return { design, units, looks: looks ?? 5, spending: spending ?? "obrien-fleming" };
	})
	.prefault({ design: "sequential" })
	.meta({ description: "Test of the goal; default sequential. Harm is always tested sequentially." });

const HOLDBACK_HINT = "write {share: 5%, for: 30d}";

const holdback = fields({ share: percentage, for: duration(1) }, HOLDBACK_HINT)
	.transform((value, context): Holdback => {
		if (value.share <= 0 || value.share > PPM / 2) return refuse(context, "write a share above 0% and at most 50%");
		return { sharePpm: value.share, forMs: value.for };
	})
	.nullable()
	.default(null)
	.meta({ description: "Keeps `share` of the baseline's units on the baseline for the time `for` after a promotion." });

const bandit = fields({
	algorithm: oneOf("thompson", "top-two").default("top-two"),
	floor: percentage.prefault("5%").meta({
		description:
			"Minimum share of the allocation of each open arm; default 5%. After shares have changed, only these units count as evidence.",
	}),
	every: duration(1).prefault("1h").meta({ description: "Minimum time between two changes; default 1h." }),
})
	.transform((value, context): Bandit => {
		if (value.floor <= 0 || value.floor > PPM / 2) return refuse(context, "write a floor above 0% and at most 50%");
		return { algorithm: value.algorithm, floorPpm: value.floor, everyMs: value.every };
	})
	.nullable()
	.default(null)
	.meta({ description: "Adapts the allocation of each arm to its probability of being the best by the goal metric." });

export const rollout = fields({
	steps,
	every: duration(1).prefault("1m").meta({ description: "Minimum time at a step; default 1m." }),
	minUnits: whole(1, 1_000_000_000)
		.default(500)
		.meta({ description: "Matured units that each arm needs before the next step; default 500." }),
	alpha: z
		.number({ error: ALPHA_HINT })
		// Harm is tested at this alpha too: a lower one would never detect it.
		.min(ALPHA_MIN, { error: ALPHA_HINT })
		.max(0.5, { error: ALPHA_HINT })
		.default(0.05)
		.meta({
			description: "Maximum probability of a false promotion or a false rollback, 0.000001 to 0.5; default 0.05.",
		}),
	maxDuration: duration(1)
		.nullable()
		.default(null)
		.meta({ description: "Maximum duration of the Experiment. Default: no limit." }),
	onInconclusive: oneOf("keep-default", "pause").default("keep-default").meta({
		description:
			"At maxDuration without a verdict: keep-default (default) returns to the default Variant; pause waits for an operator.",
	}),
	onHarm: oneOf("roll-back", "freeze").default("roll-back").meta({
		description:
			"After proved harm: roll-back (default) returns to the default Variant; freeze keeps the current allocation until an operator decides.",
	}),
	inference,
	holdback,
	bandit,
	gates: list(gate, "write a list of {at, url, timeout}")
		.max(GATES_MAX, { error: `write at most ${GATES_MAX} gates` })
		.default([])
		.meta({ description: "Webhooks that must approve a step or a promotion, or are notified of a rollback." }),
}).transform((value) => ({
	stepsPpm: value.steps,
	everyMs: value.every,
	minUnits: value.minUnits,
	alpha: value.alpha,
	maxDurationMs: value.maxDuration,
	onInconclusive: value.onInconclusive,
	onHarm: value.onHarm,
	inference: value.inference,
	holdback: value.holdback,
	bandit: value.bandit,
	gates: value.gates,
}));
