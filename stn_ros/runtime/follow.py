"""Objects known from the last frame, found again in this one.

The pixels alone follow an object; in every fifth frame, and where they lose hold, the network looks
at it: one coarse step, a finer one where that was not enough, and the whole way where the object
seems lost. Of those that stay out of view one, in turn, gets a glance in each frame, and goes the
whole way again where that recognises it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stn_ros.runtime.alignment import Alignment
from stn_ros.runtime.network_step import Hypothesis, NetworkStep
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.runtime.verification import Verifier, uncertain

NETWORK_EVERY = 5
"""Frames in which the network looks once at an object that is followed."""
SETTLED = 0.02
"""A step that moved the corners by less than this share of the face's length needs no other."""
PATIENCE = 2
"""Frames in which all is tried at once for an object that is not where it was expected."""
RECOGNISED = -5.0
"""Score of a glance (`NetworkStep.scores`, stage `locate`) from which all is tried again for one
that has been lost for longer. Where it is, a fifth of its length off at most, 19 of 20 score above
-2; where it is not, below -5."""


class Follower:
    """Follows objects from frame to frame.

    Args:
        index: of each object by name. step: of the network. verifier: judges what it comes to.
    """

    def __init__(self, index: Mapping[str, int], step: NetworkStep, verifier: Verifier) -> None:
        self._index = index
        self._step = step
        self._verifier = verifier

    def follow(self, sampler: FrameSampler, expected: Sequence[Alignment]) -> list[Alignment]:
        """Find objects near where they are expected.

        Args:
            sampler: of the frame. expected: the last frame's alignments, moved on.

        Returns:
            One answer for each that was looked for with all means, accepted or not, in their order.
        """
        step, verifier = self._step, self._verifier
        answers = self._by_pixels(sampler, expected)
        start = [
            Hypothesis(i, self._index[known.object_name], known.homography)
            for i, known in enumerate(expected)
            if i not in answers
        ]
        start = self._worth_all(sampler, start, expected)
        # A coarse step is enough where there is print that the pixels can hold on to.
        found = step("refine", sampler, start)
        for hypothesis in found:
            if hypothesis.moved <= SETTLED:
                answers[hypothesis.query] = verifier.verify(sampler, hypothesis, tracked=True)
        open_ones = [h for h in found if h.query not in answers or uncertain(answers[h.query])]
        for hypothesis in step("track", sampler, open_ones):
            answers[hypothesis.query] = verifier.verify(sampler, hypothesis, tracked=True)
        lost = [h for h in start if h.query not in answers or not answers[h.query].accepted]
        for stage in ("refine", "refine", "track", "polish"):
            lost = step(stage, sampler, lost)
        for hypothesis in lost:
            answers[hypothesis.query] = verifier.verify(sampler, hypothesis, tracked=True)
        return [answers[query] for query in sorted(answers)]

    def _by_pixels(
        self, sampler: FrameSampler, expected: Sequence[Alignment]
    ) -> dict[int, Alignment]:
        """By place in `expected`, those that the pixels alone can follow.

        The network looks at no more of them in a frame than it must to look at each in time.
        """
        seen = [i for i, known in enumerate(expected) if not known.missed]
        by_age = sorted(seen, key=lambda i: -expected[i].age)
        due = [i for i in by_age if expected[i].age >= NETWORK_EVERY - 1]
        due = due[: -(-len(seen) // NETWORK_EVERY)]
        held = {
            i: self._verifier.track_photometrically(sampler, expected[i])
            for i in by_age
            if i not in due
        }
        return {i: answer for i, answer in held.items() if answer is not None}

    def _worth_all(
        self,
        sampler: FrameSampler,
        start: Sequence[Hypothesis],
        expected: Sequence[Alignment],
    ) -> list[Hypothesis]:
        """Those of `start` that were in view lately, and one that a glance recognises."""
        lately = [h for h in start if expected[h.query].missed < PATIENCE]
        lost = [h for h in start if expected[h.query].missed >= PATIENCE]
        if not lost:
            return lately
        turn = max(expected[h.query].missed for h in lost)
        wanted = lost[turn % len(lost)]
        (score,) = self._step.scores("locate", sampler, [wanted])
        return [*lately, wanted] if score > RECOGNISED else lately
