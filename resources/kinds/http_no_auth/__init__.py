from resources.kinds.base import Category, Kind
from resources.kinds.http_no_auth.form import HttpNoAuthForm

KIND = Kind(
    slug="httpNoAuth",
    label="Website",
    category=Category.WEBSITE,
    description="Without credentials, or people bring their own. Requests are logged.",
    icon="globe-alt",
    form=HttpNoAuthForm,
)
