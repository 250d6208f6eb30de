"""Networks with one mistake each; named as the backbones that build them."""

from __future__ import annotations

from conformance.right.tiny_network import TinyNetwork


class StepsInBytes(TinyNetwork):
    def embed(self, t, label):
        return super().embed(t % 256, label)


class EndsInTanh(TinyNetwork):
    def forward(self, x, t, label=None):
        return super().forward(x, t, label).tanh()


class NeverBelowZero(TinyNetwork):
    def forward(self, x, t, label=None):
        return super().forward(x, t, label).relu()


class LabelRequired(TinyNetwork):
    def forward(self, x, t, label):
        return super().forward(x, t, label)
