import fc from "fast-check";
import t from "tap";
import { rootOf, solveLogTail } from "../../../../src/infer/statistics/distributions/root.js";

t.test("Brent's method finds known roots to the requested tolerance", async (t) => {
	t.ok(Math.abs(rootOf((x) => x * x - 2, 0, 2, 0) - Math.SQRT2) < 1e-15);
	t.ok(Math.abs(rootOf(Math.cos, 0, 3, 1e-12) - Math.PI / 2) < 1e-12);
	t.equal(
		rootOf((x) => x, 0, 1, 0),
		0,
		"a root at the end",
	);
	t.equal(
		rootOf((x) => x - 1, 0, 1, 0),
		1,
	);
	// Flat, steep and one-sided: the classical failures of the secant method.
	t.ok(Math.abs(rootOf((x) => x ** 9, -1, 1.5, 1e-10)) < 1e-10);
	t.ok(Math.abs(rootOf((x) => Math.exp(50 * x) - 1e20, -5, 5, 1e-13) - Math.log(1e20) / 50) < 1e-12);
	t.ok(Math.abs(rootOf((x) => (x < 0.3 ? -1 : 1), 0, 1, 1e-12) - 0.3) < 1e-11, "a jump");
});

t.test("Brent's method always ends within the bracket, at a sign change", async () => {
	fc.assert(
		fc.property(
			fc.double({ min: -50, max: 50, noNaN: true }),
			fc.double({ min: 0.01, max: 100, noNaN: true }),
			(r, k) => {
				const f = (x: number) => Math.sinh(Math.max(-700, Math.min(700, k * (x - r))));
				const root = rootOf(f, -51, 52, 1e-9);
				return Math.abs(root - r) <= 1e-9 + 1e-14 * Math.abs(r);
			},
		),
	);
});

t.test("every failure of a root search has a reason", async (t) => {
	t.throws(() => rootOf((x) => x * x + 1, -1, 1, 0), { code: "invalid-argument", message: /No sign change/ });
	t.throws(() => rootOf(() => Number.NaN, -1, 1, 0), { code: "internal", message: /NaN/ });
	t.throws(() => rootOf((x) => x, Number.NEGATIVE_INFINITY, 1, 0), { code: "invalid-argument" });
	t.throws(() => rootOf((x) => x, -1, 1, -1), { code: "invalid-argument" });
});

t.test("Newton's method on a log tail solves a concave one, and throws without a solution", async (t) => {
	const tail = (u: number) => ({ value: -Math.exp(u), slope: -Math.exp(u) });
	t.ok(Math.abs(solveLogTail(tail, -3, 5, 1) - Math.log(3)) < 1e-13);
	t.ok(Math.abs(solveLogTail(tail, -3, -20, 1) - Math.log(3)) < 1e-13);
	t.throws(() => solveLogTail(() => ({ value: -1, slope: -1e-9 }), -3, 0, 1), { code: "internal" });
	t.throws(() => solveLogTail(() => ({ value: Number.NaN, slope: -1 }), -3, 0, 1), { code: "internal" });
});
