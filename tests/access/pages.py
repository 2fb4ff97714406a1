"""Where the pages under Access are, and what stands in them."""

from django.urls import reverse


def url(name, *args):
    return reverse(f"access:{name}", args=[getattr(arg, "pk", arg) for arg in args])


def text(response):
    return response.content.decode()
