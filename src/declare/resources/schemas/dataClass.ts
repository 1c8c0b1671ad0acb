/** DataClass: where data of a class may be processed. */
import type { z } from "zod";
import { region } from "../fields/scalar.js";
import { fields, uniqueList } from "../fields/strict.js";
import type { DataClass } from "../resource.js";
import { resource } from "./metadata.js";

const REGIONS_HINT = "write a list of at least one region";

export const dataClassSchema: z.ZodType<DataClass> = resource(
	"DataClass",
	"Regions in which data of a class may be processed. No Envoy gets an endpoint outside of them.",
	fields({ regions: uniqueList(region, REGIONS_HINT).min(1, { error: REGIONS_HINT }) }),
);
