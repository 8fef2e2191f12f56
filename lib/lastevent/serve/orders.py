"""A process's purchase orders, as its settings have them."""

from lastevent.serve.service import Service
from lastevent.services.purchase_orders.images import Images
from lastevent.services.purchase_orders.model import Model
from lastevent.services.purchase_orders.shopify.api import ShopifyApi
from lastevent.services.purchase_orders.shopify.shop import Shop
from lastevent.services.purchase_orders.stages import PurchaseOrders


def purchase_orders(service: Service) -> PurchaseOrders:
    """Return what the stages of purchase orders work with: a part of the service."""
    settings = service.settings
    model = shop = None
    if settings.model_url is not None and settings.model_name is not None:
        model = Model(settings.model_url, settings.model_name, settings.model_key)
    if settings.shopify_shop is not None and settings.shopify_token is not None:
        url = settings.shopify_api_url
        shop = Shop(ShopifyApi(settings.shopify_shop, settings.shopify_token, url))
    return PurchaseOrders(service.store, Images(settings.image_hosts), model=model, shop=shop)
