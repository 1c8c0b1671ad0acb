/**
 * Builds the table that every execution reads (native compiler, sidecar, ingest and `weir assign`) from an Experiment and its
 * status. The same inputs give the same table everywhere.
 */

import { type ExperimentStatus, initialStatus, isExposing, liveSharePpm } from "../../decide/rollout/status.js";
import {
	type Experiment,
	type Layer,
	qualifiedName,
	type Rollout,
	type UnitSource,
} from "../../declare/resources/resource.js";
import type { ArmTable, ExperimentTable, UnitTable } from "../plan/compiledPlan.js";
import { claimHeader, parameterHeader } from "../plan/headers.js";
import { hasher } from "./hash.js";
import { armPoints, armRegions, sharePoints } from "./region.js";

/** Qualified name of the Layer that an Experiment uses: a Layer belongs to the Experiment's namespace. */
export function layerName(experiment: Experiment): string {
	return qualifiedName({ name: experiment.spec.layer.name, namespace: experiment.metadata.namespace });
}

/**
 * Seed of a layer as a decimal string: the declared one, else XXH64("layer:" + qualified name, seed 0).
 * @param layer null if the Layer is only named, never declared
 */
export function layerSeed(name: string, layer: Layer | null): string {
	return layer?.spec.seed ?? hasher.hash(`layer:${name}`, 0n).toString();
}

/** The salt in use: the declared one, else the Experiment's qualified name. */
export function experimentSalt(experiment: Experiment): string {
	return experiment.spec.salt ?? qualifiedName(experiment.metadata);
}

/**
 * Status of a new Experiment, for `weir compile` and `weir assign` without a running control.
 * @param allocationPpm null = the first step
 */
export function freshStatus(experiment: Experiment, allocationPpm: number | null): ExperimentStatus {
	const status = initialStatus(experiment.spec.rollout.stepsPpm, 0);
	return allocationPpm === null ? status : { ...status, allocationPpm };
}

/**
 * The Experiment's table under a status; null if it no longer assigns units (Promoted, RolledBack, Aborted): all traffic goes
 * to the Service's default Variant.
 */
export function experimentTable(
	experiment: Experiment,
	layer: Layer | null,
	status: ExperimentStatus,
): ExperimentTable | null {
	const promoting = status.phase === "Promoting";
	if (!isExposing(status.phase) && !promoting) return null;
	const { spec } = experiment;
	const core = corePpm(spec.rollout);
	return {
		name: qualifiedName(experiment.metadata),
		unit: unitTable(spec.unit),
		layerSeed: layerSeed(layerName(experiment), layer),
		slotLoPpm: spec.layer.slotLoPpm,
		slotHiPpm: spec.layer.slotHiPpm,
		salt: experimentSalt(experiment),
		arms: armTables(experiment, status),
		// A holdback continues the comparison: new units on points that are not taken over are exposed to arm or baseline.
		exposing: isExposing(status.phase) || (promoting && status.promotion?.heldBackFromMs !== undefined),
		...(spec.segments.length === 0 ? {} : { segments: spec.segments }),
		...(core === null ? {} : { core: { ppm: core, alone: status.shares !== undefined } }),
		takeover:
			promoting && status.promotion !== null
				? {
						arm: status.promotion.arm,
						variant: status.promotion.variant,
						ppm: status.promotion.takeoverPpm,
					}
				: null,
	};
}

function unitTable(unit: UnitSource): UnitTable {
	return unit.from === "claim" ? { from: "claim", header: claimHeader(unit.claim), claim: unit.claim } : unit;
}

/**
 * The part of each region that a bandit always keeps live: the floor's share of the last step, the only step at which shares
 * move. null without a bandit.
 */
export function corePpm({ bandit, stepsPpm }: Pick<Rollout, "bandit" | "stepsPpm">): number | null {
	return bandit === null ? null : sharePoints(stepsPpm.at(-1) ?? 0, bandit.floorPpm);
}

/** Regions and live points of the arms under a status; a closed arm has no live point. */
function armTables(
	experiment: Experiment,
	status: Pick<ExperimentStatus, "allocationPpm" | "closedArms" | "shares">,
): readonly ArmTable[] {
	const { arms } = experiment.spec;
	const regions = armRegions(arms.map((arm) => arm.weight));
	return arms.map((arm, index) => {
		const { loPpm, hiPpm } = regions[index] ?? { loPpm: 0, hiPpm: 0 };
		return {
			name: arm.name,
			variant: arm.variant,
			baseline: arm.baseline,
			loPpm,
			hiPpm,
			livePoints: armPoints(hiPpm - loPpm, status.allocationPpm, liveSharePpm(arm.name, status)),
			parameters: Object.fromEntries(
				Object.entries(arm.parameters).map(([name, value]) => [parameterHeader(name), value]),
			),
		};
	});
}
