import { type ArmShares, logRatio, type Sample, type Side } from "./bernoulliArms.js";
import { logSumExp } from "./specialFunctions.js";

export const STEPS: { f: number; lw: number }[] = [];

export function logOrthogonalRatio(
	side: Side,
	t: Sample,
	c: Sample,
	pt: number,
	pc: number,
	slope: number,
	shares: ArmShares,
): number {
	const vt = (pt * (1 - pt)) / shares.challenger;
	const vc = (slope * pc * (1 - pc)) / shares.baseline;
	const total = vt + slope * vc;
	if (!(total > 0)) return 0;
	const sign = side === "above" ? 1 : -1;
	const roomT = side === "above" ? 1 - pt : pt;
	const roomC = side === "above" ? pc : 1 - pc;
	const reach = Math.min(vt > 0 ? roomT / vt : Infinity, vc > 0 ? roomC / vc : Infinity);
	return logSumExp(
		STEPS.map(({ f, lw }) => {
			const s = sign * reach * f;
			return lw + logRatio(t, pt, s * vt) + logRatio(c, pc, -s * vc);
		}),
	);
}
