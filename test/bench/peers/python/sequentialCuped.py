"""GrowthBook's sequential CUPED comparison of two arms, timed from inside: the peer of `npm run bench -- stats`.

Reads a line of JSON, a list of pairs (baseline, challenger) of {n, means, m2}, builds gbstats' own statistics of them
once, and answers {"python", "gbstats", …, "results"}. Then every line with a number of rounds is answered by
{"cpuSeconds"}: the CPU time of this process for so many passes over all pairs. Timed is what GrowthBook does once per
metric and variation: the test's object (which finds theta) and compute_result().
"""

import json
import platform
import sys
import time
from importlib.metadata import version

import numpy as np
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import RegressionAdjustedStatistic, SampleMeanStatistic


def mean(n, mean, m2):
    return SampleMeanStatistic(n=n, sum=n * mean, sum_squares=m2 + n * mean * mean)


def statistic(arm):
    n, (y, x), (yy, yx, xx) = arm["n"], arm["means"], arm["m2"]
    return RegressionAdjustedStatistic(
        n=n,
        post_statistic=mean(n, y, yy),
        pre_statistic=mean(n, x, xx),
        post_pre_sum_of_products=yx + n * y * x,
        theta=0,
    )


def analyse(pair):
    return SequentialTwoSidedTTest(*pair, CONFIG).compute_result()


np.seterr(over="ignore")  # its e-value of a strong effect overflows, and p is then 0, rightly
CONFIG = SequentialConfig(difference_type="relative", alpha=0.05, sequential_tuning_parameter=5000)
pairs = [[statistic(arm) for arm in pair] for pair in json.loads(sys.stdin.readline())]
results = [analyse(pair) for pair in pairs]
print(
    json.dumps(
        {
            "python": platform.python_version(),
            **{name: version(name) for name in ("gbstats", "numpy", "scipy", "pandas")},
            "results": [
                {"expected": float(one.expected), "stddev": float(one.uplift.stddev), "ci": [float(x) for x in one.ci], "p": float(one.p_value)}
                for one in results
            ],
        }
    ),
    flush=True,
)
for line in sys.stdin:
    before = time.process_time()
    for _ in range(int(line)):
        for pair in pairs:
            analyse(pair)
    print(json.dumps({"cpuSeconds": time.process_time() - before}), flush=True)
