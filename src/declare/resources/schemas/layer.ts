/** Layer: a hash space. Only needed for a seed; a Layer that is not declared has the default seed. */
import { z } from "zod";
import { refuse } from "../fields/scalar.js";
import { fields } from "../fields/strict.js";
import type { Layer } from "../resource.js";
import { resource } from "./metadata.js";

const SEED_HINT = 'write an unsigned 64-bit integer in quotes, such as seed: "7"';

const seed = z
	.string({ error: SEED_HINT })
	.regex(/^(0|[1-9][0-9]{0,19})$/, { error: SEED_HINT })
	.transform((value, context): string => (BigInt(value) < 1n << 64n ? value : refuse(context, SEED_HINT)))
	.meta({ description: 'Seed of the layer hash, a decimal uint64; default XXH64("layer:" + name).' });

export const layerSchema: z.ZodType<Layer> = resource(
	"Layer",
	"A hash space. Experiments of one layer have disjoint slots; assignments of different layers are independent.",
	fields({ seed: seed.nullable().default(null) }).prefault({}),
);
