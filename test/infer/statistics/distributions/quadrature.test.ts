import t from "tap";
import { gaussLegendre, logConcaveTail } from "../../../../src/infer/statistics/distributions/quadrature.js";
import { integrate } from "../formulas.js";

t.test("Gauss-Legendre nodes and weights integrate polynomials of their degree", async (t) => {
	for (const n of [1, 2, 3, 5, 16, 32, 64, 129, 1_000]) {
		const { nodes, weights } = gaussLegendre(n);
		t.equal(nodes.length, n);
		for (let degree = 0; degree < 2 * n && degree < 300; degree++) {
			let sum = 0;
			for (const [i, x] of nodes.entries()) sum += (weights[i] as number) * x ** degree;
			const truth = degree % 2 === 0 ? 2 / (degree + 1) : 0;
			if (!(Math.abs(sum - truth) < 2e-14)) t.fail(`order ${n}, degree ${degree}: ${sum}, truth ${truth}`);
		}
		for (let i = 1; i < n; i++) if (!((nodes[i] as number) > (nodes[i - 1] as number))) t.fail(`order of nodes ${n}`);
	}
	const { nodes, weights } = gaussLegendre(5);
	// Abramowitz and Stegun, table 25.4.
	t.ok(Math.abs((nodes[4] as number) - 0.906179845938664) < 1e-15);
	t.ok(Math.abs((weights[4] as number) - 0.236926885056189) < 1e-15);
	t.equal(gaussLegendre(5), gaussLegendre(5), "kept");
});

t.test("quadrature refuses an excessive order and infinite ends", async (t) => {
	for (const n of [0, -1, 1.5, Number.NaN, 1e9]) t.throws(() => gaussLegendre(n), { code: "invalid-argument" });
});

t.test("quadrature of smooth functions is exact to the last digits", async (t) => {
	t.ok(Math.abs(integrate(Math.exp, -1, 2, 20) - (Math.exp(2) - Math.exp(-1))) < 1e-14);
	t.ok(Math.abs(integrate(Math.sin, 0, 2 * Math.PI, 40)) < 1e-14);
	t.equal(integrate(Math.exp, 1, 1, 5), 0);
});

t.test("quadrature of log-concave tails is exact to 1e-14", async (t) => {
	// ∫ exp(−s δ − δ²/2) over δ > 0 is Mills' ratio at s; values by mpmath.
	const mills = [
		[0, 1.2533141373155003],
		[1, 0.6556795424187986],
		[10, 0.09902859647173194],
		[1000, 0.000999999000003],
	] as const;
	for (const [s, truth] of mills) {
		const value = logConcaveTail(
			(delta) => -s * delta - (delta * delta) / 2,
			(delta) => -s - delta,
			-s,
			1,
			Number.POSITIVE_INFINITY,
		);
		t.ok(Math.abs(value / truth - 1) < 1e-14, `${s}: ${value}, truth ${truth}`);
	}
});
