/**
 * How much of the error may have been spent once a share t of the planned information is in.
 *
 * Each function is stated for one side at level a. A two-sided test spends a = alpha/2 on each side; putting alpha
 * itself into the O'Brien–Fleming formula, a common slip, gives another and less frugal function (first of five
 * boundaries 4.38 instead of 4.88).
 * Sources: Lan & DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70 (1983); Kim & DeMets 1987
 * for the powers of t.
 */
import { normalIsf, normalSf } from "../distributions/normal.js";

export type Spending =
	/** 2(1 − Φ(z_{a/2}/√t)): almost nothing early, almost all of it at the end. */
	| { readonly kind: "obrien-fleming" }
	/** a·ln(1 + (e − 1)t): about as much at each look. */
	| { readonly kind: "pocock" }
	/** a·t^exponent, exponent > 0. */
	| { readonly kind: "power"; readonly exponent: number };

/** Spent on one side at level a by information t: 0 at 0, a from 1 on. More information than planned spends no more. */
export function spentBy(spending: Spending, a: number, t: number): number {
	if (t <= 0) return 0;
	if (t >= 1) return a;
	switch (spending.kind) {
		case "obrien-fleming":
			return 2 * normalSf(normalIsf(a / 2) / Math.sqrt(t));
		case "pocock":
			return a * Math.log1p((Math.E - 1) * t);
		case "power":
			return a * t ** spending.exponent;
	}
}
