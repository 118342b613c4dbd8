with source as (

    select * from {{ prediction_source('credit_scores') }}

),

final as (

    select
        customer_key,
        cast(release as varchar) as release,
        cast(credit_rating as varchar) as credit_rating,
        cast(rating_in_force as varchar) as rating_in_force,
        cast(rating_veto_code as varchar) as rating_veto_code,
        cast(moved_by as varchar) as moved_by,
        cast(reason_1_code as varchar) as reason_1_code,
        cast(reason_2_code as varchar) as reason_2_code,
        cast(reason_3_code as varchar) as reason_3_code,
        cast(default_probability as double) as default_probability,
        cast(credit_points as double) as credit_points,
        cast(scorecard_points as double) as scorecard_points,
        {{ month_number('as_of_month') }} as as_of_month_number,
        cast(in_force_since_month as date) as in_force_since_month,
        cast(as_of_month as date) as as_of_month
    from source

)

select * from final
