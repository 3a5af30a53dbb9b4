"""Machine reasons after the lock over the API: look at one, say what you make of it, take that back.

Nothing of a machine is handed out before the own judgement is saved, nothing of a control ever, and never who wrote it.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import offering, reacting
from annotation.access import membership_for
from annotation.answering import LONGEST_MS, sides
from annotation.api.errors import WRITES, ErrorOutput
from annotation.api.inputs import Input
from annotation.api.prompts import MessageOutput
from annotation.models import Offer, Reaction
from annotation.reasoning import LONGEST_RATIONALE


class ReasonOutput(serializers.Serializer[Any]):
    place = serializers.IntegerField(help_text="Its place in the list, from 0.")
    text = serializers.CharField()
    called = serializers.CharField(
        allow_blank=True, help_text="The letter by which the text calls your choice, where that is another one."
    )


class OfferOutput(serializers.Serializer[Any]):
    offer = serializers.IntegerField()
    prompt = MessageOutput(many=True)
    a = MessageOutput(many=True)
    b = MessageOutput(many=True)
    preferred = serializers.ChoiceField(choices=["a", "b"], help_text="The side that you prefer.")
    reasons = ReasonOutput(many=True, help_text="One to accept, edit or reject; several to tick.")


class ReasonsOutput(serializers.Serializer[Any]):
    offer = OfferOutput(allow_null=True)
    waiting = serializers.IntegerField(help_text="How many wait for you, this one among them.")


class ReactionInput(Input):
    choice = serializers.ChoiceField(
        choices=["accepted", "edited", "rejected", "ticked"], help_text="“ticked” where there are several."
    )
    text = serializers.CharField(
        required=False, allow_blank=True, trim_whitespace=False, max_length=LONGEST_RATIONALE, help_text="Your version."
    )
    ticked = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=1000),
        required=False,
        max_length=100,
        help_text="The places of those that fit. None is an answer too.",
    )
    active_ms = serializers.IntegerField(required=False, min_value=0, max_value=LONGEST_MS)


class ReactionOutput(serializers.Serializer[Any]):
    offer = serializers.IntegerField()
    choices = serializers.ListField(
        child=serializers.ChoiceField(choices=Reaction.Choice.choices), help_text="As stored, in the order of the list."
    )
    waiting = serializers.IntegerField()


class Reasons(APIView):
    @extend_schema(operation_id="reasons_show", request=None, responses={200: ReasonsOutput, 404: ErrorOutput})
    def post(self, request: Request, slug: str) -> Response:
        """The latest that waits for you. From now on it counts as shown: your next answers to that pair are marked."""
        me = membership_for(request.user, slug)
        waiting = offering.draw(annotator=me)
        offer = offering.show(annotator=me)
        return Response(ReasonsOutput({"offer": _shown(offer) if offer else None, "waiting": waiting}).data)


class OneReaction(APIView):
    @extend_schema(operation_id="reasons_react", request=ReactionInput, responses={200: ReactionOutput, **WRITES})
    def put(self, request: Request, slug: str, offer_id: int) -> Response:
        """Say what you make of it. The same again changes nothing; anything else must be taken back first."""
        me = membership_for(request.user, slug)
        given = ReactionInput(data=request.data)
        given.is_valid(raise_exception=True)
        sent: dict[str, Any] = given.validated_data
        about: dict[str, Any] = {"annotator": me, "number": offer_id, "active_ms": sent.get("active_ms")}
        if sent["choice"] == Reaction.Choice.TICKED:
            stored = reacting.tick(ticked=sent.get("ticked", []), **about)
        else:
            stored = reacting.react(choice=sent["choice"], text=sent.get("text", ""), **about)
        said = {"offer": offer_id, "choices": [one.choice for one in stored]}
        return Response(ReactionOutput({**said, "waiting": offering.waiting(annotator=me)}).data)

    @extend_schema(operation_id="reasons_undo", responses={200: ReactionOutput, **WRITES})
    def delete(self, request: Request, slug: str, offer_id: int) -> Response:
        """Take back what you made of it: it waits for you again."""
        me = membership_for(request.user, slug)
        reacting.take_back(annotator=me, number=offer_id)
        said = {"offer": offer_id, "choices": [], "waiting": offering.waiting(annotator=me)}
        return Response(ReactionOutput(said).data)


def _shown(offer: Offer) -> dict[str, Any]:
    """What may be shown of an offer: the pair as it was judged, and the texts."""
    swapped = offering.standing(offer).swapped
    a, b = sides(offer.pair.first, offer.pair.second, swapped=swapped)
    return {
        "offer": offer.pk,
        "prompt": offer.pair.prompt.messages,
        "a": a.messages,
        "b": b.messages,
        "preferred": "a" if (offer.side == "first") != swapped else "b",
        "reasons": offering.reasons(offer, swapped=swapped),
    }
