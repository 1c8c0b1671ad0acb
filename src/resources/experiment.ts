/** Experiment: assigns units to arms; an arm points to a Variant. Required: service, unit, layer, arms, rollout.steps. */
import { z } from "zod";
import { ARM_WEIGHT_MAX, ARMS_MAX, PPM } from "../limits.js";
import { effect } from "./effect.js";
import { isUrl } from "./host.js";
import { resource } from "./metadata.js";
import { parameters } from "./parameters.js";
import type { Experiment } from "./resource.js";
import { duration, name, percentage } from "./scalar.js";
import { fields, flag, list, oneOf, refuseRepeats, say, whole } from "./strict.js";
import { unit } from "./unitSource.js";

const SLOT_HINT = "write two percentages, the lower first, such as [0%, 50%]";

const slot = list(percentage, SLOT_HINT)
	.length(2, { error: SLOT_HINT })
	.transform((bounds, context): { slotLoPpm: number; slotHiPpm: number } => {
		const [slotLoPpm = 0, slotHiPpm = 0] = bounds;
		if (slotLoPpm >= slotHiPpm) {
			const what = slotLoPpm === slotHiPpm ? "is empty" : "has its higher end first";
			context.issues.push({ code: "custom", message: say(what, SLOT_HINT), input: bounds });
		}
		return { slotLoPpm, slotHiPpm };
	})
	.meta({ description: "Part of the layer, [from, to); default the whole layer." });

const arm = fields({
	name,
	variant: name,
	weight: whole(0, ARM_WEIGHT_MAX).default(1).meta({ description: "Share of the allocation, relative to the others." }),
	baseline: flag.default(false).meta({ description: "Exactly one arm is it, on the Service's default variant." }),
	parameters,
});

const ARMS_HINT = `write a list of 2 to ${ARMS_MAX} arms, each with name, variant and weight`;

const arms = list(arm, ARMS_HINT)
	.min(2, { error: ARMS_HINT })
	.max(ARMS_MAX, { error: ARMS_HINT })
	.superRefine((items, context) => {
		const report = (path: (string | number)[], what: string, hint: string): void =>
			context.addIssue({ code: "custom", path, message: say(what, hint) });
		refuseRepeats(
			items,
			(item) => item.name,
			(index, first, key) => {
				report([index, "name"], `repeats ${key}, arm ${first} of the list`, "give each arm its own name");
			},
		);
		if (items.every((item) => item.weight === 0)) {
			report([], "have weights that are all 0", "give at least one arm a weight above 0");
		}
		const baselines = items.flatMap((item, index) => (item.baseline ? [index] : []));
		if (baselines.length === 0) {
			report([], "have no baseline", "write baseline: true at the arm that the others are compared with");
		}
		for (const index of baselines.slice(1)) {
			report([index, "baseline"], "makes a second baseline", "keep baseline: true at one arm only");
		}
	});

const ALPHA_HINT = "write a number above 0, at most 0.5, such as 0.05";
const STEPS_HINT = "write a list of percentages that rise from above 0%, such as [2%, 10%, 50%, 100%]";

const steps = list(percentage, STEPS_HINT)
	.min(1, { error: STEPS_HINT })
	.max(100, { error: "write at most 100 steps" })
	.superRefine((items, context) => {
		for (const [index, ppm] of items.entries()) {
			const before = items[index - 1] ?? 0;
			// A step that is no percentage was reported already; it is no number here.
			if (ppm > before || !Number.isInteger(ppm) || !Number.isInteger(before)) continue;
			const what = index === 0 ? "is 0%" : `is not above the step before it (${before / (PPM / 100)}%)`;
			context.addIssue({ code: "custom", path: [index], message: say(what, STEPS_HINT) });
		}
	})
	.meta({ description: "Allocations, rising strictly from above 0%." });

const WEBHOOK_HINT =
	"write an https URL without user, password and fragment, such as https://ci.example.com/gate (http only for this machine)";

/** Who answers for a gate decides about traffic: beyond this machine it proves its name by TLS. */
const webhook = z
	.string({ error: WEBHOOK_HINT })
	.refine((value) => isUrl(value, ["https:"]) || (isUrl(value, ["http:"]) && isOwnHost(new URL(value).hostname)), {
		error: WEBHOOK_HINT,
	});

function isOwnHost(host: string): boolean {
	return host === "localhost" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

const gate = fields({
	at: oneOf("before-step", "before-promotion", "after-rollback").meta({
		description: "before-…: only a 2xx answer lets it happen. after-rollback: is told, at least once.",
	}),
	url: webhook,
	timeout: duration(1).prefault("10s"),
}).transform(({ timeout, ...rest }) => ({ ...rest, timeoutMs: timeout }));

const rollout = fields({
	steps,
	every: duration(1).prefault("1m").meta({ description: "Least time at a step." }),
	minUnits: whole(1, 1_000_000_000)
		.default(500)
		.meta({ description: "Units with matured outcomes that each arm needs before a step up." }),
	alpha: z
		.number({ error: ALPHA_HINT })
		.gt(0, { error: ALPHA_HINT })
		.max(0.5, { error: ALPHA_HINT })
		.default(0.05)
		.meta({ description: "Error rate of the whole experiment, shared over arms and metrics." }),
	maxDuration: duration(1).nullable().default(null).meta({ description: "Left out: no end." }),
	onInconclusive: oneOf("keep-default", "pause")
		.default("keep-default")
		.meta({ description: "At maxDuration without a verdict: back to the default, or hold until a person decides." }),
	gates: list(gate, "write a list of {at, url, timeout}")
		.default([])
		.meta({ description: "Webhooks: asked, or told." }),
}).transform((value) => ({
	stepsPpm: value.steps,
	everyMs: value.every,
	minUnits: value.minUnits,
	alpha: value.alpha,
	maxDurationMs: value.maxDuration,
	onInconclusive: value.onInconclusive,
	gates: value.gates,
}));

const SALT_HINT = "write 1 to 128 letters, digits, points, underscores, slashes or hyphens";

const spec = fields({
	service: name.meta({ description: "A Service in the same namespace." }),
	unit,
	layer: fields({ name, slot: slot.prefault(["0%", "100%"]) }, "write layer: {name: …, slot: [0%, 100%]}").transform(
		(value) => ({ name: value.name, ...value.slot }),
	),
	salt: z
		.string({ error: SALT_HINT })
		.regex(/^[A-Za-z0-9._/-]{1,128}$/, { error: SALT_HINT })
		.nullable()
		.default(null)
		.meta({ description: "Salt of the arm hash, as it stands; default the experiment's name." }),
	arms,
	goal: fields({ metric: name, improveBy: effect(true) })
		.nullable()
		.default(null)
		.meta({ description: "What a challenger must improve, and by how much, to be promoted." }),
	guardrails: list(fields({ metric: name, margin: effect(false) }), "write a list of {metric, margin}")
		.default([])
		.meta({ description: "What a challenger may not worsen by more than the margin." }),
	rollout,
});

export const experimentSchema: z.ZodType<Experiment> = resource(
	"Experiment",
	"Assigns units to arms; an arm points to a Variant of the Service.",
	spec,
);
