"""`python -m tests.faults.soak --minutes 30 --seed 7`: the fault suite, longer and at random."""

import argparse
import os
import sys

import pytest


def main() -> int:
    """pytest's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of the random mix")
    parser.add_argument("--kills", type=int, default=200, help="of whole workers, one after another")
    parser.add_argument("--herd", type=int, default=5000, help="executions due in one second")
    parser.add_argument("--seed", type=int, help="what a failure is repeated with")
    parser.add_argument("--only", default="f1_ or f41 or f43", help="pytest's -k")
    arguments = parser.parse_args()
    os.environ["APG_FAULTS"] = "1"
    os.environ["APG_FAULT_SOAK_MINUTES"] = str(arguments.minutes)
    os.environ["APG_FAULT_KILLS"] = str(arguments.kills)
    os.environ["APG_FAULT_HERD"] = str(arguments.herd)
    if arguments.seed is not None:
        os.environ["APG_FAULT_SEED"] = str(arguments.seed)
    return int(pytest.main(["-p", "tests.faults.servers", "tests/faults", "-k", arguments.only]))


if __name__ == "__main__":
    sys.exit(main())
