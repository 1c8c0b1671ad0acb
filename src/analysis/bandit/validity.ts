/**
 * Which of our answers may be believed when the allocation followed the outcomes, and why not otherwise.
 *
 * Two things go wrong, and neither shows in the numbers of one look.
 *
 * - Simpson. Let means rise over the day, and let an arm get more units late in the day: its pooled mean is higher for
 *   the hour alone. Whoever pools over batches of different shares tests the shares, not the arms. Tests in which
 *   each unit's factor is fair given the past survive, as long as what is claimed of a unit does not move: the Bernoulli
 *   mixture's likelihood ratio is a supermartingale under any predictable allocation *if each arm has one mean*.
 * - Who comes back. Live points that are opened later are full of people who have been here before. An arm that grows
 *   gets its first exposures from them, one that stays gets them from newcomers: neither are the counts in the ratio of
 *   the live points, nor are the people alike. With a common ramp both arms open alike and it cancels.
 *
 * The core (allocation.ts) has neither: its units are live in every arm, whatever the outcomes of others, in the
 * declared ratio. Everything that holds for a fixed design holds there. On all units there is one test that needs
 * no constant means, by known propensities (propensityBetting.ts), if nobody comes twice.
 *
 * Sources: Ville; Howard et al., arXiv 1810.08240 (supermartingales under predictable allocation); Nie, Tian, Taylor &
 * Zou, arXiv 1708.01977 (sample means of adaptively collected data are biased); Waudby-Smith & Ramdas, arXiv
 * 2010.09686 (betting); Waudby-Smith et al., arXiv 2210.10768 (anytime-valid off-policy inference by propensities).
 */
import type { InferenceDesign } from "../../resources/resource.js";

export type AdaptiveMethod =
	| "bernoulli-mixture"
	| "asympcs"
	| "srm"
	| "propensity-betting"
	| Exclude<InferenceDesign["design"], "sequential">
	| "posterior";

export interface AdaptiveDesign {
	/** core: only units on points that are live in every arm whatever the data say. all: every exposed unit. */
	readonly units: "core" | "all";
	/** once: a unit makes its requests and does not return (a job, a session). returning: people. */
	readonly arrivals: "once" | "returning";
	/** Whether somebody answers for it that an arm's mean is the same at all times. Data cannot. */
	readonly means: "constant" | "may-drift";
}

export type AdaptiveValidity = { readonly valid: true } | { readonly valid: false; readonly why: string };

const VALID: AdaptiveValidity = { valid: true };
const refuse = (why: string): AdaptiveValidity => ({ valid: false, why });

const RETURNING =
	"people come back: an arm whose share grows gets its first exposures from them and not from newcomers, so the arms differ in more than the variant; test the core's units";
const DRIFT =
	"means may drift: an arm that got more units at a better hour looks better for the hour alone; test the core's units, or by propensities";

/** Whether the method's error rate holds for these units while allocation follows outcomes; if not, why, and what to do. */
export function adaptiveValidity(method: AdaptiveMethod, design: AdaptiveDesign): AdaptiveValidity {
	if (design.units === "core") return VALID;
	if (design.arrivals === "returning") return refuse(RETURNING);
	switch (method) {
		// Both use each batch's own shares, which were set before the batch began; neither knows of means over time.
		case "srm":
		case "propensity-betting":
			return VALID;
		case "bernoulli-mixture":
			return design.means === "constant" ? VALID : refuse(DRIFT);
		case "posterior":
			// The likelihood does not contain the allocation; it does contain one mean per arm.
			return design.means === "constant" ? VALID : refuse(DRIFT);
		case "asympcs":
			return refuse(
				"its width is that of the pooled sample at one allocation; with shares that follow outcomes neither the clock nor the centre is that of a martingale; test the core's units",
			);
		case "fixed-horizon":
		case "group-sequential":
			return refuse(
				"sample means of adaptively collected units are biased and not normal, and the information times depend on outcomes; test the core's units",
			);
	}
}
