/** Experiment: assigns units to arms; an arm points to a Variant. Required: service, unit, layer, arms, rollout.steps. */
import { z } from "zod";
import { ARM_WEIGHT_MAX, ARMS_MAX } from "../../../limits/index.js";
import { effect } from "../fields/effect.js";
import { unitHeader } from "../fields/host.js";
import { parameters } from "../fields/parameters.js";
import { localName, name, percentage } from "../fields/scalar.js";
import { fields, flag, list, refuseRepeats, whole, withHint } from "../fields/strict.js";
import { unit } from "../fields/unitSource.js";
import type { Experiment } from "../resource.js";
import { resource } from "./metadata.js";
import { rollout } from "./rollout.js";

/** Segments of an Experiment: each takes a part of alpha, and a column of every exposure. */
const SEGMENTS_MAX = 5;

/** Guardrails of an Experiment: they share the alpha of harm, and each is a test of every challenger at every look. */
const GUARDRAILS_MAX = 20;

const SLOT_HINT = "write two percentages, the lower first, such as [0%, 50%]";

const slot = list(percentage, SLOT_HINT)
	.length(2, { error: SLOT_HINT })
	.transform((bounds, context): { slotLoPpm: number; slotHiPpm: number } => {
		const [slotLoPpm = 0, slotHiPpm = 0] = bounds;
		if (slotLoPpm >= slotHiPpm) {
			const what = slotLoPpm === slotHiPpm ? "is empty" : "has its higher end first";
			context.issues.push({ code: "custom", message: withHint(what, SLOT_HINT), input: bounds });
		}
		return { slotLoPpm, slotHiPpm };
	})
	.meta({ description: "Part of the layer, [from, to); default [0%, 100%], the whole layer." });

const arm = fields({
	name,
	variant: name,
	weight: whole(0, ARM_WEIGHT_MAX)
		.default(1)
		.meta({ description: "Share of the allocation, relative to the other arms; default 1." }),
	baseline: flag.default(false).meta({
		description:
			"Marks the arm that the others are compared with. Exactly one arm, with the Service's default Variant.",
	}),
	parameters,
});

const ARMS_HINT = `write a list of 2 to ${ARMS_MAX} arms, each with name, variant and weight`;

const arms = list(arm, ARMS_HINT)
	.min(2, { error: ARMS_HINT })
	.max(ARMS_MAX, { error: ARMS_HINT })
	.superRefine((items, context) => {
		const report = (path: (string | number)[], what: string, hint: string): void =>
			context.addIssue({ code: "custom", path, message: withHint(what, hint) });
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

const SEGMENTS_HINT = "write a list of {name, header}, such as [{name: country, header: x-country}]";

const segments = list(fields({ name, header: unitHeader }, SEGMENTS_HINT), SEGMENTS_HINT)
	.max(SEGMENTS_MAX, { error: `write at most ${SEGMENTS_MAX} segments: each takes a part of alpha` })
	.superRefine((items, context) => {
		refuseRepeats(
			items,
			(item) => item.name,
			(index, first, key) => {
				const message = withHint(`repeats ${key}, segment ${first} of the list`, "give each segment its own name");
				context.addIssue({ code: "custom", path: [index, "name"], message });
			},
		);
	})
	.default([])
	.meta({
		description: "Request headers whose values divide units into segments; each segment is also tested for harm.",
	});

const SALT_HINT = "write 1 to 128 letters, digits, points, underscores, slashes or hyphens";

const spec = fields({
	service: localName.meta({ description: "Name of a Service in the same namespace." }),
	unit,
	layer: fields(
		{ name: localName, slot: slot.prefault(["0%", "100%"]) },
		"write layer: {name: …, slot: [0%, 100%]}",
	).transform((value) => ({ name: value.name, ...value.slot })),
	salt: z
		.string({ error: SALT_HINT })
		.regex(/^[A-Za-z0-9._/-]{1,128}$/, { error: SALT_HINT })
		.nullable()
		.default(null)
		.meta({
			description:
				"Salt of the arm hash, used exactly as written; default: the qualified name of the Experiment. Outside the namespace default it must begin with NAMESPACE/.",
		}),
	arms,
	goal: fields({ metric: localName, improveBy: effect(true) })
		.nullable()
		.default(null)
		.meta({ description: "Metric that a challenger must improve to be promoted, and by how much." }),
	guardrails: list(fields({ metric: localName, margin: effect(false) }), "write a list of {metric, margin}")
		.max(GUARDRAILS_MAX, { error: `write at most ${GUARDRAILS_MAX} guardrails: each takes a part of alpha` })
		.default([])
		.meta({ description: "Metrics that a challenger must not worsen by more than the margin." }),
	segments,
	rollout,
});

export const experimentSchema: z.ZodType<Experiment> = resource(
	"Experiment",
	"Assigns units to arms. Each arm uses a Variant of the Service.",
	spec,
);
