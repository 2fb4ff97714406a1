from resources.kinds.base import Category, Kind
from resources.kinds.http_no_auth.form import HttpNoAuthForm

KIND = Kind(
    slug="httpNoAuth",
    label="Website",
    category=Category.WEBSITE,
    description="Nothing is added. The site's own sign-in page works; an Authorization header that people send "
    "never arrives. Requests are logged.",
    icon="globe-alt",
    form=HttpNoAuthForm,
)
