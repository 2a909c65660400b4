from .facts import card_facts as card_facts, model_table as model_table
from .files import card_path as card_path, publish_card as publish_card, save_card as save_card
from .html import card_markdown as card_markdown, card_page as card_page
