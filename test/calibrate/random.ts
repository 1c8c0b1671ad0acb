/** Random numbers of the calibration: xoshiro128** (Blackman & Vigna 2018), seeded by splitmix32, one stream per experiment. */
export type Uniform = () => number;

/** Uniform on (0, 1): never 0, so that its logarithm exists. */
export function uniforms(seed: number, stream: number): Uniform {
	let mixed = Math.imul(seed, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b);
	const next = (): number => {
		mixed = (mixed + 0x9e3779b9) | 0;
		let z = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
		z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
		return z ^ (z >>> 15);
	};
	let [a, b, c, d] = [next(), next(), next(), next()];
	return () => {
		const scrambled = Math.imul(b, 5);
		const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9);
		const shifted = b << 9;
		c ^= a;
		d ^= b;
		b ^= c;
		a ^= d;
		c ^= shifted;
		d = (d << 11) | (d >>> 21);
		return ((result >>> 0) + 0.5) / 4_294_967_296;
	};
}

/** Standard normal, by Box and Muller. */
export function normal(uniform: Uniform): number {
	return Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** Gamma(shape, 1): Marsaglia & Tsang 2000, with the boost for shapes below 1. */
export function gamma(shape: number, uniform: Uniform): number {
	if (shape < 1) return gamma(shape + 1, uniform) * uniform() ** (1 / shape);
	const d = shape - 1 / 3;
	const c = 1 / Math.sqrt(9 * d);
	for (;;) {
		const x = normal(uniform);
		const v = (1 + c * x) ** 3;
		if (v > 0 && Math.log(uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
	}
}

export function beta(a: number, b: number, uniform: Uniform): number {
	const x = gamma(a, uniform);
	return x / (x + gamma(b, uniform));
}
