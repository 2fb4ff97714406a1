from resources.kinds.base import Category, Kind
from resources.kinds.http_basic_auth.form import HttpBasicAuthForm

KIND = Kind(
    slug="httpBasicAuth",
    label="Website (basic)",
    category=Category.WEBSITE,
    description="Workers add username and password. Requests are logged.",
    icon="lock-closed",
    form=HttpBasicAuthForm,
)
