"""Words of the bundled suite: concepts, their synonyms, and made-up words for each task."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

BUNDLED_TASKS = ("sst", "quora", "sts")

# Arbitrary constants that keep the streams of draws apart; other values change the texts.
MADE_UP_SEED = 7919
WORDING_STREAM = 104729

# Synonyms are joined by a slash. No word occurs twice.
_WORDS = {
    "person": """doctor/physician/medic teacher/tutor/instructor child/kid man/guy woman/lady
        farmer/grower thief/robber/burglar lawyer/attorney soldier/trooper student/pupil
        boss/manager/chief friend/buddy/pal cook/chef writer/author driver/chauffeur sailor/seaman
        singer/vocalist artist/painter cop/officer king/ruler/monarch guest/visitor
        neighbor/resident buyer/customer/client seller/vendor/dealer""",
    "action": """buy/purchase sell/trade fix/repair/mend break/smash carry/haul hide/conceal
        locate/discover build/construct paint/color clean/wash/scrub throw/toss/hurl
        choose/select/pick watch/observe keep/retain steal/swipe lift/raise/hoist drop/release
        push/shove pull/drag/tug open/unlock close/shut send/deliver gather/collect
        test/examine/inspect burn/scorch move/shift copy/duplicate measure/gauge borrow/rent
        wrap/cover""",
    "thing": """car/automobile bike/bicycle boat/ship house/home book/novel letter/note
        picture/photo/image phone/telephone computer/laptop table/desk chair/seat box/crate/carton
        bag/sack lamp/light clock/timer coat/jacket hat/cap shoe/boot ring/jewel knife/blade
        cup/mug plate/dish bread/loaf meat/beef cake/pastry stone/rock rope/cord wheel/tire
        engine/motor door/gate blanket/quilt film/movie song/tune story/tale""",
    "property": """big/large/huge small/little/tiny red/crimson blue/azure green/emerald
        old/ancient new/modern heavy/weighty wet/damp/soggy dry/arid round/circular wooden/timber
        cold/chilly hot/heated empty/vacant full/packed quick/fast/rapid slow/sluggish loud/noisy
        quiet/silent""",
    "place": """market/bazaar school/academy hospital/clinic street/road forest/woods river/stream
        sea/ocean beach/shore mountain/hill farm/ranch town/city village/hamlet shop/store
        garden/yard office/workplace kitchen/pantry museum/gallery station/depot hotel/inn
        church/chapel""",
    "opinion+2": """superb/magnificent brilliant/dazzling wonderful/marvelous perfect/flawless
        amazing/astonishing fantastic/terrific gorgeous/stunning thrilling/exciting
        masterful/expert delightful/charming outstanding/exceptional""",
    "opinion+1": """good/nice pleasant/agreeable decent/solid useful/handy friendly/kind neat/tidy
        funny/amusing clever/smart calm/peaceful fair/reasonable pretty/attractive""",
    "opinion-1": """bad/poor dull/boring weak/feeble dirty/filthy rude/impolite clumsy/awkward
        annoying/irritating strange/odd/weird cheap/shoddy bland/tasteless sad/gloomy""",
    "opinion-2": """terrible/awful/dreadful horrible/hideous disgusting/revolting useless/worthless
        pathetic/pitiful atrocious/abysmal cruel/vicious stupid/idiotic ruined/wrecked
        poisonous/toxic unbearable/miserable""",
}
_ONSETS = (*"bdfgklmnprstvz", "bl", "dr", "fl", "gr", "kl", "pr", "sk", "sl", "sn", "st", "tr")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ee", "oo")
_CODAS = ("", "", "l", "m", "n", "r", "sk", "x")


@dataclass(frozen=True)
class Concept:
    """A meaning and its synonyms. ``polarity`` is -2 to 2, and 0 for all but opinions."""

    category: str
    polarity: int
    forms: tuple[str, ...]


class Dice:
    """Random draws that are equal on every platform and for every version of numpy.

    They use only raw bits of PCG64, which numpy guarantees never to change. It does not guarantee
    that for the distributions of its ``Generator``.
    """

    def __init__(self, *seeds: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seeds))

    def unit(self) -> float:
        """A number in [0, 1)."""
        return (int(self._bits.random_raw()) >> 11) / 2.0**53

    def below(self, limit: int) -> int:
        """A whole number in [0, limit)."""
        return (int(self._bits.random_raw()) * limit) >> 64

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.unit() < probability

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.below(len(items))]

    def some(self, items: Sequence[Item], count: int) -> list[Item]:
        """``count`` different items, in drawn order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(count)]


def _concepts(heading: str, words: str) -> list[Concept]:
    category = heading.rstrip("+-12")
    polarity = int(heading.removeprefix(category) or 0)
    return [Concept(category, polarity, tuple(forms.split("/"))) for forms in words.split()]


CONCEPTS = tuple(concept for item in _WORDS.items() for concept in _concepts(*item))


def concepts_of(*categories: str) -> tuple[int, ...]:
    """Indices in ``CONCEPTS`` of all concepts of the categories."""
    return tuple(i for i, concept in enumerate(CONCEPTS) if concept.category in categories)


@lru_cache(maxsize=1)
def made_up_words() -> dict[str, tuple[tuple[str, ...], ...]]:
    """Each task's own forms of every concept, as many as the concept has shared forms.

    No form is also a shared form or one of another task.
    """
    dice = Dice(MADE_UP_SEED)
    taken = {form for concept in CONCEPTS for form in concept.forms}
    return {
        task: tuple(tuple(_new_word(dice, taken) for _ in concept.forms) for concept in CONCEPTS)
        for task in BUNDLED_TASKS
    }


def _new_word(dice: Dice, taken: set[str]) -> str:
    """A pronounceable word of two or three syllables that is not in ``taken``; adds it there."""
    while True:
        word = "".join(
            dice.pick(_ONSETS) + dice.pick(_VOWELS) + dice.pick(_CODAS)
            for _ in range(2 + dice.below(2))
        )
        # Shorter words could be function words of the templates.
        if len(word) >= 5 and word not in taken:
            taken.add(word)
            return word


def wording(task: str, seed: int, relatedness: float) -> tuple[tuple[str, ...], ...]:
    """A task's forms of each of ``CONCEPTS``: the shared forms or its own.

    A concept is shared if its draw, fixed by ``seed``, is below ``relatedness``. Raising
    ``relatedness`` therefore only adds shared concepts.
    """
    dice = Dice(WORDING_STREAM, seed, BUNDLED_TASKS.index(task))
    own = made_up_words()[task]
    return tuple(
        concept.forms if dice.unit() < relatedness else own[i] for i, concept in enumerate(CONCEPTS)
    )
