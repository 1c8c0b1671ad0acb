/** Bounded caches that forget what was used longest ago: the package lru-cache, which nothing else imports. */
export { LRUCache } from "lru-cache";
