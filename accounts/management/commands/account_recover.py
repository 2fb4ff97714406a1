"""`manage.py account_recover EMAIL`: let somebody back in who lost the password, from the console's own machine."""

from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from accounts import entrance, services


class Command(BaseCommand):
    help = "Print a link that sets a new password for one person. It works once, for one hour."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the address the person signs in with")
        parser.add_argument(
            "--remove-second-factor",
            action="store_true",
            help="also remove the app and the security keys of somebody who lost them",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"]
        issued = entrance.password_link_recover(email=email)
        if issued is None:
            raise CommandError(f"Nobody who can sign in has the address {email}.")
        if options["remove_second_factor"]:
            count = services.factors_remove(actor=None, account=issued.link.account)
            self.stdout.write(f"Second factors removed: {count}.")
        path = reverse("accounts:password-set", args=[issued.token])
        self.stdout.write(
            f"Open this address within one hour to set a new password for {email}. It works once:\n"
        )
        self.stdout.write(f"    {settings.CONSOLE_URL}{path}")
